"""What is pickled names the version that wrote it; any other version warns."""

import warnings

from sklearn.exceptions import InconsistentVersionWarning

from skchaosprune import __version__
from skchaosprune._text import shorten

_KEY = "_skchaosprune_version"


class _OtherVersionWarning(InconsistentVersionWarning):
    """scikit-learn's warning, in the words of this package."""

    def __str__(self):
        saved = shorten(self.original_sklearn_version)
        current = self.current_sklearn_version
        return (
            f"This {shorten(self.estimator_name)} was saved with skchaosprune {saved} "
            f"and is loaded with {current}; it may fail or give other results. Fit "
            f"again, or load it with skchaosprune {saved}."
        )


class Versioned:
    """Mixin that does for this package what BaseEstimator does for scikit-learn's own.

    pickle, joblib, skops and copy all pass here. ``_learned`` are the names of all that
    a finished instance has.
    """

    _learned = frozenset()
    _lacking = ()

    def __getstate__(self):
        return {**super().__getstate__(), _KEY: __version__}

    def __setstate__(self, state):
        state = dict(state)
        saved = state.pop(_KEY, "pre-0.1.0")
        if saved != __version__:
            warnings.warn(
                _OtherVersionWarning(
                    estimator_name=type(self).__name__,
                    current_sklearn_version=__version__,
                    original_sklearn_version=saved,
                ),
                stacklevel=2,
            )
        if hasattr(super(), "__setstate__"):
            super().__setstate__(state)
        else:
            self.__dict__.update(state)
        lacking = self._expected().difference(vars(self))
        if lacking:
            self._lacking = tuple(sorted(lacking))

    def __getattr__(self, name):
        # called only for what is not found in any other way
        if name in self._lacking:
            raise AttributeError(
                f"This {shorten(type(self).__name__)} lacks {name!r}: another version "
                "of skchaosprune saved it, or not all of it was saved. Fit again, or "
                "load it with the version that saved it."
            )
        return super().__getattribute__(name)

    def _expected(self):
        """Return the names that a complete state has."""
        is_finished = not self._learned.isdisjoint(vars(self))
        return self._learned if is_finished else frozenset()
