"""Feature importances before and after, as bars."""

import numpy as np

from skchaosprune._names import read_fit, unit_names
from skchaosprune._validation import check_number
from skchaosprune.display._axes import label_ticks, make_axes, measure
from skchaosprune.display._colors import BLUE, GREY


class ImportanceDisplay:
    """Feature importances of the dense network beside those of the pruned one.

    Parameters
    ----------
    importances : array-like of shape (n_features,)
        Of the pruned network.
    dense_importances : array-like of shape (n_features,)
        Of the dense network.
    feature_names : sequence of str or None, default=None
        Names of the features; None calls them x0, x1, and so on.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        Their figure.
    bars_, dense_bars_ : matplotlib BarContainer
        Bars of the pruned and of the dense network, from the most important feature of
        the pruned one down.

    See Also
    --------
    NetworkDisplay : Where the weights are that listen to a feature.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skchaosprune.display import ImportanceDisplay
    >>> display = ImportanceDisplay(
    ...     importances=[0.0, 0.9, 0.1],
    ...     dense_importances=[0.2, 0.5, 0.3],
    ...     feature_names=["age", "dose", "weight"],
    ... )
    >>> [label.get_text() for label in display.plot().ax_.get_yticklabels()]
    ['dose', 'weight', 'age']
    >>> plt.show()  # doctest: +SKIP
    """

    def __init__(self, *, importances, dense_importances, feature_names=None):
        self.importances = importances
        self.dense_importances = dense_importances
        self.feature_names = feature_names

    @classmethod
    def from_estimator(cls, estimator, *, feature_names=None, max_features=20, ax=None):
        """Draw the feature importances of a fit.

        Parameters
        ----------
        estimator : ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor or Pipeline
            Fitted; a pipeline ends in one of them.
        feature_names : sequence of str or None, default=None
            Names of the features; None takes those seen in fit.
        max_features : int, default=20
            Features to show, the most important ones of the pruned network.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : ImportanceDisplay
            With the picture drawn.

        Raises
        ------
        TypeError
            If the estimator is not one of ours.
        """
        model, names = read_fit(estimator, feature_names)
        display = cls(
            importances=model.feature_importances_,
            dense_importances=model.dense_feature_importances_,
            feature_names=names[0],
        )
        return display.plot(ax, max_features=max_features)

    def plot(self, ax=None, *, max_features=20):
        """Draw two bars per feature.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        max_features : int, default=20
            Features to show, the most important ones of the pruned network.

        Returns
        -------
        self : ImportanceDisplay
            With the artists as attributes.
        """
        check_number(max_features, "max_features", "int", 1)
        sparse = np.asarray(self.importances, dtype=float)
        dense = np.asarray(self.dense_importances, dtype=float)
        names = self.feature_names
        if names is None:
            names = unit_names((len(sparse), 1))[0]
        order = np.argsort(-sparse, kind="stable")[:max_features]
        places = np.arange(len(order))
        self.ax_ = make_axes(ax, (6.5, np.clip(1.4 + 0.27 * len(order), 3.0, 11.0)))
        self.figure_ = self.ax_.figure

        self.dense_bars_ = self.ax_.barh(
            places - 0.2, dense[order], height=0.4, color=GREY, label="dense"
        )
        self.bars_ = self.ax_.barh(
            places + 0.2, sparse[order], height=0.4, color=BLUE, label="pruned"
        )
        label_ticks(self.ax_.yaxis, [names[feature] for feature in order])
        self.ax_.set_xlabel("feature importance (share of the sum)")
        if len(order) < len(sparse):
            self.ax_.set_title(
                f"{len(order)} of {len(sparse)} features, those that matter most to "
                "the pruned network",
                fontsize="medium",
            )
        # the legend has a place of its own below the bars
        room = min(0.5, 24.0 / measure(self.ax_)[1])
        self.ax_.set_ylim((len(order) + 0.1) / (1.0 - room) - 0.6, -0.6)
        self.ax_.legend(loc="lower right", ncols=2, borderaxespad=0.3)
        return self
