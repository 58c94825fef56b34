"""Prune dense neural networks for tabular data by chaos and Granger causality.

The main entry points are :class:`ChaosCausalPrunedMLP` and
:class:`ChaosCausalPrunedMLPRegressor`; :mod:`skchaosprune.criteria` holds what can rank
the weights, :func:`legcnet_params` the paper's settings; :class:`CompactMLP` and
:func:`to_onnx` make what is left of a network small; the ``*Display`` classes draw it;
:func:`largest_lyapunov_exponent` and :func:`granger_causality` are useful on their own.
Everything is imported when it is first used, so that ``import skchaosprune`` loads
neither torch nor numba.
"""

from importlib import import_module
from importlib.metadata import version

__version__ = version("skchaosprune")

_HOMES = {
    "CausalityDisplay": "display",
    "ChaosCausalPrunedMLP": "estimators",
    "ChaosCausalPrunedMLPRegressor": "estimators",
    "CompactMLP": "compact",
    "EffectDisplay": "display",
    "GrangerCausalityResult": "_kernels.granger",
    "ImportanceDisplay": "display",
    "LyapunovDisplay": "display",
    "NetworkDisplay": "display",
    "PruningCurveDisplay": "display",
    "feature_importances": "_importances",
    "granger_causality": "_kernels.granger",
    "largest_lyapunov_exponent": "_kernels.lyapunov",
    "legcnet_params": "_legcnet",
    "one_standard_error": "_selection",
    "pruning_path": "report",
    "pruning_report": "report",
    "register_onnx_converters": "_pipelines",
    "to_c": "_pipelines",
    "to_compact": "_pipelines",
    "to_onnx": "_pipelines",
    "weight_table": "_placebo",
}

__all__ = [
    "CausalityDisplay",
    "ChaosCausalPrunedMLP",
    "ChaosCausalPrunedMLPRegressor",
    "CompactMLP",
    "EffectDisplay",
    "GrangerCausalityResult",
    "ImportanceDisplay",
    "LyapunovDisplay",
    "NetworkDisplay",
    "PruningCurveDisplay",
    "feature_importances",
    "granger_causality",
    "largest_lyapunov_exponent",
    "legcnet_params",
    "one_standard_error",
    "pruning_path",
    "pruning_report",
    "register_onnx_converters",
    "to_c",
    "to_compact",
    "to_onnx",
    "weight_table",
]


def __getattr__(name):
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name == "criteria":
        return import_module(f"{__name__}.criteria")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*__all__, "__version__", "criteria"])
