"""The plots: what a fit recorded, tested and kept.

Each display takes arrays and draws them with ``plot``; its ``from_estimator`` gets them
from a fitted model. matplotlib is imported when something is drawn.
"""

from skchaosprune.display._causality import CausalityDisplay
from skchaosprune.display._effect import EffectDisplay
from skchaosprune.display._importance import ImportanceDisplay
from skchaosprune.display._lyapunov import LyapunovDisplay
from skchaosprune.display._network import NetworkDisplay
from skchaosprune.display._pruning_curve import PruningCurveDisplay

__all__ = [
    "CausalityDisplay",
    "EffectDisplay",
    "ImportanceDisplay",
    "LyapunovDisplay",
    "NetworkDisplay",
    "PruningCurveDisplay",
]

# pickles, errors and documentation name the public home
for _name in __all__:
    globals()[_name].__module__ = __name__
