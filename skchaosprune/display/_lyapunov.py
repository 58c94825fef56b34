"""Lyapunov exponents, window by window."""

from itertools import cycle

import numpy as np
from sklearn.base import is_classifier

from skchaosprune._names import read_fit
from skchaosprune._network.mlp import split_layers
from skchaosprune._text import brief, shorten
from skchaosprune.display._axes import as_label, make_panels, measure
from skchaosprune.display._colors import COLORS, GREY

_MOST_LABELS = 10  # in a legend over many lines


class LyapunovDisplay:
    """Lyapunov exponents window by window, above the series they are tested against.

    Compare them between weights and windows of one fit: they are biased, by an amount
    that depends on window size and ``record_every``, and a positive one proves no
    chaos (see the notes of :func:`skchaosprune.largest_lyapunov_exponent`).

    Parameters
    ----------
    lyapunov_exponents : array-like of shape (n_windows, n_weights)
        In nats per record.
    target_series : array-like of shape (n_windows,)
        The target at the end of each window.
    target_name : str, default="target"
        What the target is.
    unit_names : list of sequence of str or None, default=None
        Names of the units, layer by layer, inputs and outputs included. Needed to tell
        the layers apart and to name single weights.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The panel of the exponents.
    target_ax_ : matplotlib Axes
        The panel of the target, below.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : list of matplotlib Line2D
        Medians over the weights, of all or of each layer.
    bands_ : list of matplotlib PolyCollection
        From the 5th to the 95th percentile of the same weights.
    weight_lines_ : list of matplotlib Line2D
        The single weights.
    target_line_ : matplotlib Line2D
        The target series.

    See Also
    --------
    CausalityDisplay : What the test says about each weight.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from skchaosprune import ChaosCausalPrunedMLP
    >>> from skchaosprune.display import LyapunovDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ChaosCausalPrunedMLP((6,), max_iter=40, random_state=0).fit(X, y)
    >>> display = LyapunovDisplay.from_estimator(model, weights=[0, 1])
    >>> [line.get_label() for line in display.weight_lines_]
    ['0: x0 -> h1_0', '1: x0 -> h1_1']
    >>> plt.show()  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        lyapunov_exponents,
        target_series,
        target_name="target",
        unit_names=None,
    ):
        self.lyapunov_exponents = lyapunov_exponents
        self.target_series = target_series
        self.target_name = target_name
        self.unit_names = unit_names

    @classmethod
    def from_estimator(
        cls, estimator, *, feature_names=None, weights=None, by_layer=False, ax=None
    ):
        """Draw the exponents that a fit recorded.

        Parameters
        ----------
        estimator : ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor or Pipeline
            Fitted; a pipeline ends in one of them.
        feature_names : sequence of str or None, default=None
            Names of the features; None takes those seen in fit.
        weights : sequence of int or None, default=None
            Flat indices of weights to draw one by one; the first few are labelled.
        by_layer : bool, default=False
            Draw median and band of each layer instead of all weights.
        ax : matplotlib Axes, array of two Axes or None, default=None
            Where to draw; see :meth:`plot`.

        Returns
        -------
        display : LyapunovDisplay
            With the picture drawn.

        Raises
        ------
        ValueError
            If the estimator kept no exponents, or has no such weights.
        TypeError
            If the estimator is not one of ours.
        """
        model, names = read_fit(estimator, feature_names)
        if model.lyapunov_exponents_ is None:
            raise ValueError(_explain_missing_exponents(model))
        display = cls(
            lyapunov_exponents=model.lyapunov_exponents_,
            target_series=model.target_series_,
            target_name=_name_target(model),
            unit_names=names,
        )
        return display.plot(ax, weights=weights, by_layer=by_layer)

    def plot(self, ax=None, *, weights=None, by_layer=False):
        """Draw the exponents, and the target below them.

        Parameters
        ----------
        ax : matplotlib Axes, array of two Axes or None, default=None
            One axes is switched off and makes room for two panels; of two, the first
            takes the exponents. None makes a new figure.
        weights : sequence of int or None, default=None
            Flat indices of weights to draw one by one; the first few are labelled.
        by_layer : bool, default=False
            Draw median and band of each layer instead of all weights.

        Returns
        -------
        self : LyapunovDisplay
            With the artists as attributes.

        Raises
        ------
        ValueError
            If ``by_layer`` is set without ``unit_names``, or there are no such weights.
        """
        exponents = np.asarray(self.lyapunov_exponents)
        groups = self._group_weights(exponents.shape[1], by_layer)
        weights = self._check_weights(weights, exponents.shape[1])
        axes = make_panels(ax, (7.0, 5.0), 2, 1, height_ratios=[5, 3])
        self.ax_, self.target_ax_ = axes
        self.figure_ = self.ax_.figure
        self.lines_, self.bands_, self.weight_lines_ = [], [], []

        windows = np.arange(1, len(exponents) + 1)
        colors, dashes = cycle(COLORS), cycle(["--", ":", "-."])
        self.ax_.axhline(0.0, color=GREY, linewidth=0.8, zorder=0)
        for label, columns in groups:
            color = next(colors)
            low, median, high = np.quantile(
                exponents[:, columns], [0.05, 0.5, 0.95], axis=1
            )
            self.bands_.append(
                self.ax_.fill_between(
                    windows, low, high, color=color, alpha=0.2, linewidth=0.0
                )
            )
            self.lines_ += self.ax_.plot(windows, median, color=color, label=label)
        for weight in weights:
            self.weight_lines_ += self.ax_.plot(
                windows,
                exponents[:, weight],
                color=next(colors),
                linewidth=1.0,
                linestyle=next(dashes),
                label=self._name_weight(weight),
            )
        (self.target_line_,) = self.target_ax_.plot(
            windows, self.target_series, color="black", linewidth=1.2
        )
        self.ax_.set_ylabel("largest Lyapunov exponent\n(nats per record)")
        self._draw_legend()
        self.target_ax_.set(xlabel="window", ylabel=shorten(self.target_name, 40))
        return self

    def _draw_legend(self):
        """Inside the axes, above the lines, so that a title finds its own place."""
        handles, labels = self.ax_.get_legend_handles_labels()
        shown = slice(_MOST_LABELS)
        n_rows = -(-len(labels[shown]) // 2)
        low, high = self.ax_.get_ylim()
        room = min(0.5, (6.0 + 14.0 * n_rows) / measure(self.ax_)[1])
        self.ax_.set_ylim(low, high + (high - low) * room / (1.0 - room))
        self.ax_.legend(
            handles[shown],
            labels[shown],
            loc="upper left",
            ncols=2,
            frameon=False,
            fontsize="small",
        )

    def _check_weights(self, weights, n_weights):
        """Return flat indices of weights that exist, none for None."""
        indices = np.array([] if weights is None else weights)
        if indices.ndim == 1 and indices.size == 0:
            return []
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            raise ValueError(
                f"weights={brief(weights)} must be a sequence of flat indices, like "
                "[0, 5]."
            )
        if indices.min() < 0 or indices.max() >= n_weights:
            raise ValueError(
                f"weights={brief(weights)} must be in 0 to {n_weights - 1}, the flat "
                "indices of the weights, layer by layer."
            )
        return indices.tolist()

    def _group_weights(self, n_weights, by_layer):
        """Label and columns of each group of weights."""
        band = "median and 5-95 % of"
        if not by_layer:
            return [(f"{band} {n_weights} weights", slice(None))]
        if self.unit_names is None:
            raise ValueError(
                "by_layer=True needs unit_names, which say how many units the layers "
                "have; give them, or use from_estimator."
            )
        sizes = [len(names) for names in self.unit_names]
        indices = split_layers(np.arange(n_weights), sizes)
        return [
            (f"{band} layer {number}", part.ravel())
            for number, part in enumerate(indices, start=1)
        ]

    def _name_weight(self, weight):
        if self.unit_names is None:
            return f"weight {weight}"
        sizes = [len(names) for names in self.unit_names]
        n_weights = np.shape(self.lyapunov_exponents)[1]
        for layer, part in enumerate(split_layers(np.arange(n_weights), sizes)):
            for source, target in np.argwhere(part == weight):
                above = as_label(self.unit_names[layer][source])
                below = as_label(self.unit_names[layer + 1][target])
        return f"{weight}: {above} -> {below}"


def _name_target(model):
    target = model.criterion_.target
    if callable(target):
        return "target"
    if is_classifier(model):
        return "loss" if target == "loss" else "misclassification"
    return "Huber loss" if model._loss == "huber" else "squared error"


def _explain_missing_exponents(model):
    missing = "lyapunov_exponents_ is None, as"
    if model.mean_lyapunov_exponents_ is not None:
        if model.dense_coefs_ is None:
            return (
                f"{missing} forget_training() dropped them. Draw before it, or fit "
                "again; mean_lyapunov_exponents_ is there."
            )
        return (
            f"{missing} the {model.n_windows_} windows of {model.n_weights_} weights "
            "took more than 50 MB and were not kept. Record fewer windows (a larger "
            "record_every or window_size of the criterion), or use smaller "
            "hidden_layer_sizes; mean_lyapunov_exponents_ is there."
        )
    if model.n_windows_ == 0:
        return (
            f"{missing} the training ended before one window was full. Use a larger "
            "max_iter, or a smaller window_size of the criterion."
        )
    return (
        f"{missing} prune_criterion={brief(model.prune_criterion)} computes no "
        "exponents. Fit with a criterion that does: 'chaos_causal_magnitude' or "
        "'chaos_causality'."
    )
