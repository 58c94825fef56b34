"""How much each input feature drives the outputs of a network."""

from dataclasses import dataclass

import numpy as np

from skchaosprune._network import mlp


@dataclass(frozen=True)
class Explainable:
    """A trained network whose inputs are to be ranked, and what is known of it.

    ``params`` are flat, ``data`` the training rows or others, ``masks`` one boolean
    matrix per layer, ``p_values`` those of the weights, where the criterion tests them.
    ``groups`` are lists of columns that belong together; None: each stands alone.
    """

    network: mlp.Network
    params: np.ndarray
    data: mlp.TrainingData
    masks: list
    p_values: np.ndarray | None
    seed: int
    groups: list | None = None

    @property
    def layers(self):
        """Weight matrices and bias vectors."""
        return mlp.unflatten(self.params, self.network.layer_sizes)


def gradient_importances(subject):
    """Mean absolute gradient times input, summed over the outputs.

    Feature ``j`` gets the weighted mean over the training rows of
    ``|(x_j - mean_j) * d logit_k / d x_j|``, summed over the outputs ``k``.

    Parameters
    ----------
    subject : Explainable
        The network and its training rows.

    Returns
    -------
    importances : ndarray of shape (n_features,)
        Not normalised; exactly 0 for an input without a path of kept weights.
    """
    return gradient_effects(subject)[0]


def gradient_directions(subject):
    """Mean gradient of each output, as a share of its mean absolute value.

    Parameters
    ----------
    subject : Explainable
        The network and its rows.

    Returns
    -------
    directions : ndarray of shape (n_features, n_outputs)
        In [-1, 1]: 1 where a larger value of the feature raises the output in all rows,
        -1 where it lowers it; 0 without a path of kept weights.
    """
    return gradient_effects(subject)[1]


@np.errstate(over="ignore", invalid="ignore")
def gradient_effects(subject):
    """Return :func:`gradient_importances` and :func:`gradient_directions` at once."""
    mean, totals = mean_row(subject.data), GradientTotals(subject.network, np.zeros)
    for X, weights, gradients in _differentiate(subject):
        distance = np.abs(X - mean) * weights[:, np.newaxis]
        for output, gradient in enumerate(gradients):
            totals.add(output, gradient, distance, weights)
    return summarise_gradients(totals.parts, subject.data)


class GradientTotals:
    """What is summed over the rows, in arrays of numpy or tensors of torch.

    Parameters
    ----------
    network : Network
        The network.
    zeros : callable
        Makes an array of a shape.

    Attributes
    ----------
    parts : list of three arrays
        Absolute gradients times the distances of the inputs from their means, of all
        outputs, ``(n_features,)``; gradients, and their absolute values,
        ``(n_features, n_outputs)``.
    """

    def __init__(self, network, zeros):
        shape = network.layer_sizes[0], network.layer_sizes[-1]
        self.parts = [zeros(shape[0]), zeros(shape), zeros(shape)]

    def add(self, output, gradient, distance, weights):
        """Add the gradients of an output in some rows.

        Parameters
        ----------
        output : int
            Number of the output.
        gradient, distance : array of shape (n_rows, n_features)
            Of the output by the inputs; of the inputs from their means, times weights.
        weights : array of shape (n_rows,)
            Of the rows.
        """
        effects, signed, absolute = self.parts
        size = abs(gradient)
        effects += (distance * size).sum(0)
        signed[:, output] += weights @ gradient
        absolute[:, output] += weights @ size


def mean_row(data):
    """Return the weighted mean of the rows."""
    mean = sum(
        data.sample_weight[rows] @ data.take(rows)
        for rows in mlp.row_blocks(data.n_rows, data.X.shape[1:])
    )
    return mean / data.sample_weight.sum()


def summarise_gradients(parts, data):
    """Return importances and directions from the totals of all rows, in numpy."""
    effects, signed, absolute = parts
    return effects / data.sample_weight.sum(), _divide(signed, absolute)


def _differentiate(subject):
    """Yield blocks of rows, their weights, and the gradients of the outputs in them."""
    data = subject.data
    (coefs, intercepts), activation = subject.layers, subject.network.activation
    # one output at a time, so that their number is no width
    for rows in mlp.row_blocks(data.n_rows, subject.network.layer_sizes[:-1]):
        layers = mlp.hidden_outputs(data.take(rows), coefs, intercepts, activation)
        slopes = [mlp.activation_slope(layer, activation) for layer in layers[1:]]
        gradients = (_descend(w, coefs, slopes, len(layers[0])) for w in coefs[-1].T)
        yield layers[0], data.sample_weight[rows], gradients


def _descend(weights, coefs, slopes, n_rows):
    """Lead the gradient of one output, with these weights, back to the inputs."""
    gradient = np.broadcast_to(weights, (n_rows, len(weights)))
    for W, slope in zip(coefs[-2::-1], slopes[::-1], strict=True):
        gradient = (gradient * slope) @ W.T
    return gradient


def _divide(sums, sizes):
    """Signed sums as shares of the sums of absolute values, 0 of 0 being 0."""
    shares = np.divide(sums, sizes, out=np.zeros_like(sums), where=sizes > 0.0)
    return np.clip(shares, -1.0, 1.0)


@np.errstate(over="ignore", invalid="ignore")
def connection_importances(subject):
    """Products of absolute weights, summed over all paths to the outputs.

    Feature ``j`` gets row ``j`` of ``|W_1| |W_2| ... |W_L|``, summed over the outputs.

    Parameters
    ----------
    subject : Explainable
        The network. Its rows have no say, so the rule takes the inputs to have one
        scale: a feature in larger units has smaller weights, and looks less important.

    Returns
    -------
    importances : ndarray of shape (n_features,)
        Not normalised; exactly 0 for an input without a path of kept weights.

    Notes
    -----
    Of one hidden layer, Garson [1]_ takes absolute values too, but shares each hidden
    unit out among its inputs, so that every unit weighs what it sends to the outputs;
    Olden and Jackson [2]_ add up the raw products with their signs, where paths cancel.
    Here nothing is shared out and nothing cancels, and there may be any number of
    layers. The slopes of the hidden units are left out: dead or saturated ones count.
    So do the weights that an input of no use drew at the start, unless ``alpha`` or
    pruning takes them away.

    References
    ----------
    .. [1] G. D. Garson (1991). "Interpreting neural-network connection weights".
       AI Expert 6.
    .. [2] J. D. Olden, D. A. Jackson (2002). "Illuminating the 'black box': a
       randomization approach for understanding variable contributions in artificial
       neural networks". Ecological Modelling 154, 135-150.
    """
    coefs, _ = subject.layers
    return _sum_over_paths([np.abs(W) for W in coefs])


@np.errstate(over="ignore", invalid="ignore")
def connection_directions(subject):
    """Products of weights, summed over all paths, as shares of their absolute sums.

    Parameters
    ----------
    subject : Explainable
        The network.

    Returns
    -------
    directions : ndarray of shape (n_features, n_outputs)
        In [-1, 1]: 1 where all paths to the output have a positive product, -1 where
        they have a negative one; 0 without a path of kept weights.
    """
    coefs, _ = subject.layers
    signed, absolute = coefs[0], np.abs(coefs[0])
    for W in coefs[1:]:
        signed, absolute = signed @ W, absolute @ np.abs(W)
    return _divide(signed, absolute)


@np.errstate(over="ignore", invalid="ignore")
def permutation_importances(subject, n_repeats=5):
    """Mean rise of the training loss when one column is shuffled.

    Parameters
    ----------
    subject : Explainable
        The network, its training rows, and the seed of the row orders.
    n_repeats : int, default=5
        Row orders drawn. All columns are shuffled in the same ones.

    Returns
    -------
    importances : ndarray of shape (n_features,)
        Not normalised; 0 where shuffling lowers the loss, and exactly 0 for an input
        without a path of kept weights. Columns of a group are shuffled as one, and
        what that costs is that of the first of them.

    Notes
    -----
    Breiman's measure [1]_, but of the training rows and of the weighted loss that the
    network is trained to make small, without the L2 penalty. Rows of equal weight
    change places; else each row gets the value of a row drawn with replacement, in
    proportion to the weights.

    A column moves the first layer by an outer product, so that a shuffle costs as much
    as a forward pass without its first layer. An input whose weights are all 0 costs
    nothing.

    References
    ----------
    .. [1] L. Breiman (2001). "Random forests". Machine Learning 45, 5-32.
    """
    data, network = subject.data, subject.network
    coefs, intercepts = subject.layers
    groups = subject.groups
    if groups is None:
        groups = np.arange(len(coefs[0]))[:, np.newaxis]
    used = [columns for columns in groups if coefs[0][columns].any()]
    rng = np.random.RandomState(subject.seed)
    orders = [_shuffle(data.sample_weight, rng) for _ in range(n_repeats)]
    rises = np.zeros(network.layer_sizes[0])
    for rows in mlp.row_blocks(data.n_rows, network.layer_sizes):
        X, targets = data.take(rows), data.targets[rows]
        shuffled = [data.take(order[rows]) for order in orders]
        weights = data.sample_weight[rows]
        z = X @ coefs[0] + intercepts[0]
        losses = _losses_from_first_layer(subject, z.copy(), targets)
        for columns in used:
            for other in shuffled:
                change = np.take(other, columns, axis=1) - X[:, columns]
                moved = z + change @ coefs[0][columns]
                worse = _losses_from_first_layer(subject, moved, targets)
                rises[columns[0]] += weights @ (worse - losses)
    return np.maximum(rises, 0.0) / (n_repeats * data.sample_weight.sum())


def _shuffle(sample_weight, rng):
    """Draw the row whose value each row gets."""
    n_rows = len(sample_weight)
    if np.ptp(sample_weight) == 0.0:
        return rng.permutation(n_rows)
    return rng.choice(n_rows, size=n_rows, p=sample_weight / sample_weight.sum())


def causal_importances(subject):
    """Products of causal strengths, summed over all paths to the outputs.

    The strength of a kept weight is ``-log(p_value)``, that of a pruned or untested one
    0. A diagnostic of what the criterion found, not a measure of what drives the
    outputs: it knows neither the sizes of the weights nor the rows, and agreed little
    with SHAP where we measured it (``benchmarks/compare_importances.md``).

    Parameters
    ----------
    subject : Explainable
        The network, its masks, and the p-values of its weights: those of the first
        dense training, also for the pruned network. Without p-values all strengths
        are 0.

    Returns
    -------
    importances : ndarray of shape (n_features,)
        Not normalised.
    """
    if subject.p_values is None:
        return np.zeros(subject.network.layer_sizes[0])
    # below the smallest normal number a p-value is 0 or has lost its digits
    p_values = np.maximum(subject.p_values, np.finfo(np.float64).tiny)
    strengths = np.where(np.isnan(p_values), 0.0, -np.log(p_values))
    by_layer, _ = mlp.unflatten(strengths, subject.network.layer_sizes)
    kept = [part * mask for part, mask in zip(by_layer, subject.masks, strict=True)]
    return _sum_over_paths(kept)


def _sum_over_paths(matrices):
    """Add up the products along all paths from each input to all outputs."""
    totals = np.ones(matrices[-1].shape[1])
    for matrix in reversed(matrices):
        totals = matrix @ totals
    return totals


def _losses_from_first_layer(subject, z, targets):
    """Loss of each row from what enters the first layer, which is overwritten."""
    network, (coefs, intercepts) = subject.network, subject.layers
    if len(coefs) > 1:
        hidden = mlp.activate(z, network.activation)
        z = mlp.logits(hidden, coefs[1:], intercepts[1:], network.activation)
    return mlp.row_losses(z, targets, network.out_activation, network.loss)


# What ranks the inputs: functions from an Explainable to one number >= 0 per feature.
IMPORTANCES = {
    "gradient": gradient_importances,
    "connection": connection_importances,
    "permutation": permutation_importances,
    "causal": causal_importances,
}

# The rules that know whether a feature raises or lowers an output.
DIRECTIONS = {"gradient": gradient_directions, "connection": connection_directions}

# What it means that a rule found nothing in a network that still has a path; why, and
# the way out.
_CONSTANT = "The outputs of the pruned network do not depend on any input"
_NOTHING_FOUND = {
    "gradient": (
        _CONSTANT,
        "its hidden units are dead or saturated in all training rows. Use more hidden "
        "units, another random_state, activation='tanh' or a smaller "
        "learning_rate_init.",
    ),
    "connection": (
        _CONSTANT,
        "every path of kept weights has one that is 0. Start from other weights with "
        "another weight_init or random_state, or use a smaller alpha.",
    ),
    "permutation": (
        "The training loss of the pruned network does not rise when any one input is "
        "shuffled",
        "it has learned nothing from a single input. Train longer with a larger "
        "max_iter, use a smaller prune_ratio, or importance='gradient', which does not "
        "look at the loss.",
    ),
    "causal": (
        "No path of kept weights has evidence of causality from end to end",
        "on each of them the criterion could not test a weight (see "
        "untested_reasons_), or its p-value is 1. Train longer with a larger max_iter, "
        "use a smaller prune_ratio, or importance='gradient', which needs no evidence.",
    ),
}


def rank_inputs(rule, subject, gradient_effects=gradient_effects):
    """Return importances by a rule, and directions, or None where it has none.

    Parameters
    ----------
    rule : str
        One of :data:`IMPORTANCES`.
    subject : Explainable
        The network and its rows.
    gradient_effects : callable
        Does what ours does, perhaps on another device.

    Returns
    -------
    importances : ndarray of shape (n_features,)
        Not normalised.
    directions : ndarray of shape (n_features, n_outputs) or None
        In [-1, 1].
    """
    if rule == "gradient":  # both from the same gradients
        return gradient_effects(subject)
    directions = DIRECTIONS[rule](subject) if rule in DIRECTIONS else None
    return IMPORTANCES[rule](subject), directions


def normalise_importances(importances):
    """Scale to a sum of 1; uniform where all are zero."""
    with np.errstate(over="ignore"):
        total = importances.sum()
    if not np.isfinite(total):
        raise ValueError(
            "the importances of the features are too large for float64; scale X, for "
            "example with StandardScaler, or use importance='connection', which looks "
            "at no row."
        )
    if total > 0.0:
        return importances / total
    return np.full(importances.size, 1.0 / importances.size)


def explain_uniform(rule, has_path, is_scaled=True):
    """Say why a rule found nothing, and what to do.

    ``has_path`` says whether kept weights lead from an input to an output,
    ``is_scaled`` whether the training rows are scaled.
    """
    what, reason = _NOTHING_FOUND[rule]
    if not has_path:
        what = _CONSTANT
        reason = (
            "no path of kept weights is left. Lower prune_ratio or use "
            "keep_connected=True."
        )
    elif not is_scaled:
        reason = "X is not scaled, which is the likeliest cause. Use a StandardScaler."
    return f"{what}, and all features are reported as equally important: {reason}"
