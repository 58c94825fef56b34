"""What a fit does after its first scores: rounds or a descent, and how far."""

from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

from skchaosprune._fit.counts import count_beyond, plan_cuts, plan_descent
from skchaosprune._network import mlp
from skchaosprune._text import shorten

# What retrain="auto" and n_rounds="auto" mean: up to this ratio one round is enough.
_ONE_ROUND_UP_TO = 0.7
_N_ROUNDS_ABOVE = 5

# What n_swaps="auto" means in a descent: up to so many kept weights per output.
_SWAPS_UP_TO = 50
_N_SWAPS = 5


@dataclass(frozen=True)
class Schedule:
    """What comes after the first scores: pruning, the last training, swaps.

    Attributes
    ----------
    layer_sizes : tuple of int
        Units per layer, inputs and outputs included.
    prune_ratio, prune_scope, keep_connected, max_features, target_score, importance
        Parameters of the estimators.
    retrain_asked, n_rounds_asked, n_swaps_asked : int or str
        The parameters ``retrain``, ``n_rounds`` and ``n_swaps``.
    n_epochs : int
        Passes over the data of each sparse training, at most.
    chooses_masks : bool
        Whether the criterion does not rank, but says what stays.
    """

    layer_sizes: tuple
    prune_ratio: float | None
    prune_scope: str
    keep_connected: bool
    max_features: int | float | None
    retrain_asked: str
    n_rounds_asked: int | str
    n_swaps_asked: int | str
    n_epochs: int
    target_score: float | None
    importance: str
    chooses_masks: bool

    def __post_init__(self):
        if self.chooses_masks and self.max_features is not None:
            raise ValueError(
                f"max_features={shorten(self.max_features)} cannot be used, as "
                "prune_criterion chooses the weights itself, and with them the inputs. "
                "Use max_features=None, or a criterion that ranks the weights."
            )
        obstacle = self._obstacle_to_descent
        if self.retrain_asked == "descent" and obstacle is not None:
            raise ValueError(
                f"retrain='descent' cannot be used: {obstacle}. Change that, or use "
                "retrain='auto', 'rewind' or 'finetune'."
            )
        if self.prune_ratio is None and self.n_rounds_asked not in ("auto", 1):
            raise ValueError(
                f"n_rounds={shorten(self.n_rounds_asked)} needs a prune_ratio, as the "
                "significance rule of prune_ratio=None decides in one round. Give a "
                "prune_ratio in [0, 1), or use n_rounds='auto'."
            )
        if self.n_swaps_asked not in ("auto", 0) and self.retrain != "descent":
            why, way = self._explain_rewinding()
            raise ValueError(
                f"n_swaps={shorten(self.n_swaps_asked)} needs a descent, and this fit "
                f"takes retrain={self.retrain!r}{why}. {way}, or use n_swaps='auto' or "
                "0."
            )

    @property
    def _obstacle_to_descent(self):
        """Why a descent cannot follow the first scores, or None."""
        if self.chooses_masks:
            return "prune_criterion chooses the weights itself"
        if self.prune_ratio is None:
            return "prune_ratio=None keeps what is significant, in one step"
        if self.n_rounds_asked != "auto":
            n_rounds = shorten(self.n_rounds_asked)
            return f"n_rounds={n_rounds} counts trainings by the solver"
        if self.target_score is not None:
            target_score = shorten(self.target_score)
            return f"target_score={target_score} ends trainings by the solver"
        return None

    @property
    def retrain(self):
        """How what is left is trained: "rewind", "finetune" or "descent"."""
        if self.retrain_asked != "auto":
            return self.retrain_asked
        if self._obstacle_to_descent is not None or self._is_mild:
            return "rewind"
        return "descent"

    @property
    def _is_mild(self):
        if self.prune_ratio is None:
            return True
        return self.prune_ratio <= _ONE_ROUND_UP_TO and not self._limits_inputs

    @property
    def _limits_inputs(self):
        return self.most_inputs < self.layer_sizes[0]

    @property
    def most_inputs(self):
        """Inputs that may be in use in the end."""
        n_inputs = self.layer_sizes[0]
        if self.max_features is None:
            return n_inputs
        if isinstance(self.max_features, Integral):
            return min(int(self.max_features), n_inputs)
        # without the rounding .29 of 100 would be 28
        return max(1, int(round(self.max_features * n_inputs, 6)))

    def explain_limit(self):
        """Say what ``max_features`` asks for; None where it is no limit."""
        if not self._limits_inputs:
            return None
        text = f"max_features={shorten(self.max_features)}: "
        text += f"at most {self.most_inputs} of {self.layer_sizes[0]} inputs stay"
        if self.prune_ratio is None:
            return text
        n_beyond = count_beyond(*self._shape, self.most_inputs)
        ratio = shorten(self.prune_ratio)
        return f"{text}, {n_beyond} more weights go than prune_ratio={ratio} asks for"

    @property
    def _shape(self):
        return self.layer_sizes, self.prune_ratio, self.prune_scope

    def _explain_rewinding(self):
        """Say why the fit takes no descent, and what would make it take one."""
        if self.retrain_asked != "auto":
            return "", "Set retrain='descent'"
        if self._obstacle_to_descent is not None:
            return f": {self._obstacle_to_descent}", "Change that"
        ratio = shorten(self.prune_ratio)
        why = f", as prune_ratio={ratio} is not above {_ONE_ROUND_UP_TO}"
        return why, "Set retrain='descent'"

    @property
    def n_trainings(self):
        """Rounds of training and scoring, unless the first scores are final."""
        if self.retrain == "descent" or self.prune_ratio is None:
            return 1
        if self.n_rounds_asked == "auto":
            return 1 if self._is_mild else _N_ROUNDS_ABOVE
        return self.n_rounds_asked

    @property
    def n_swaps(self):
        """Swaps that are tried after a descent; none where nothing is pruned."""
        if self.retrain != "descent":
            return 0
        n_kept, n_outputs = self.cuts[-1].n_kept.sum(), self.layer_sizes[-1]
        if n_kept == mlp.count_weights(self.layer_sizes):
            return 0
        if self.n_swaps_asked != "auto":
            return int(self.n_swaps_asked)
        return _N_SWAPS if n_kept <= _SWAPS_UP_TO * n_outputs else 0

    @cached_property
    def cuts(self):
        """What stays after each round; raises where the ratio is infeasible."""
        if self.retrain == "descent":
            return plan_descent(*self._shape, self.most_inputs)
        return plan_cuts(*self._shape, self.most_inputs, self.n_trainings)
