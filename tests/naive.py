"""Slow, obvious oracles: loops straight from the definitions.

Nothing here imports the code that it judges.
"""

import math
from itertools import product

import numpy as np
from scipy import stats

# Lyapunov


def largest_lyapunov_exponent(
    series,
    embedding_dimension=2,
    delay=1,
    theiler_window=0,
    n_steps=3,
    static_tolerance=0.0,
):
    """Return the first slope of the divergence curve; 0.0 where there is none."""
    x = np.asarray(series, dtype=np.float64)
    if not np.isfinite(x).all():
        return math.nan
    if np.ptp(x) == 0 or np.ptp(x) < static_tolerance:
        return 0.0

    curve = divergence_curve(x, embedding_dimension, delay, theiler_window, n_steps)
    if curve[0] is None or curve[1] is None:
        return 0.0
    return curve[1] - curve[0]


def divergence_curve(x, embedding_dimension=2, delay=1, theiler_window=0, n_steps=3):
    """Return S(0), ..., S(n_steps), with None where no pair has a distance."""
    y = (x - x.min()) / (x.max() - x.min())
    n_points = len(y) - (embedding_dimension - 1) * delay - n_steps
    sums = [0.0] * (n_steps + 1)
    counts = [0] * (n_steps + 1)
    for i in range(n_points - theiler_window):
        j = nearest_neighbour(
            i, y, n_points, embedding_dimension, delay, theiler_window
        )
        if j is None:
            continue
        for step in range(n_steps + 1):
            distance = squared_distance(
                i + step, j + step, y, embedding_dimension, delay
            )
            if distance > 0:
                sums[step] += math.log(distance)
                counts[step] += 1
    return [
        total / count / 2 if count else None
        for total, count in zip(sums, counts, strict=True)
    ]


def nearest_neighbour(i, y, n_points, embedding_dimension, delay, theiler_window):
    """Return the last of the points nearest to ``i``, or None if there is none."""
    j = np.arange(n_points)
    distances = squared_distance(i, j, y, embedding_dimension, delay)
    allowed = (abs(i - j) > theiler_window) & (distances > 0) & (distances < 1)
    if not allowed.any():
        return None
    return j[allowed & (distances == distances[allowed].min())][-1]


def squared_distance(i, j, y, embedding_dimension, delay):
    """Return the squared distance of point ``i`` to point ``j``, or to each of them."""
    total = 0.0
    for k in range(embedding_dimension):
        total = total + (y[i + k * delay] - y[j + k * delay]) ** 2
    return total


# Granger


def granger_causality(effect, causes, max_lag, test="ssr_ftest"):
    """Return statistic, p-value and residual degrees of freedom, lag by cause."""
    effect = np.asarray(effect, dtype=float)
    causes = np.asarray(causes, dtype=float)
    statistic = np.empty((max_lag, causes.shape[1]))
    p_value = np.empty_like(statistic)
    df_resid = np.empty_like(statistic)
    for p in range(1, max_lag + 1):
        for c in range(causes.shape[1]):
            out = one_pair(effect, causes[:, c], p, test)
            statistic[p - 1, c], p_value[p - 1, c], df_resid[p - 1, c] = out
    return statistic, p_value, df_resid


def one_pair(y, x, p, test):
    n = len(y)
    y = (y - y.mean()) / y.std()
    x = (x - x.mean()) / x.std()
    y_rows, past_y, past_x = [], [], []
    for t in range(p, n):
        y_rows.append(y[t])
        past_y.append([1.0] + [y[t - lag] for lag in range(1, p + 1)])
        past_x.append([x[t - lag] for lag in range(1, p + 1)])
    r, _ = residual_sum_of_squares(np.array(past_y), np.array(y_rows))
    f, rank = residual_sum_of_squares(np.hstack([past_y, past_x]), np.array(y_rows))

    n_rows = n - p
    df_resid = n_rows - rank
    if test == "ssr_ftest":
        statistic = (r - f) / f / p * df_resid
        return statistic, stats.f.sf(statistic, p, df_resid), df_resid
    statistic = n_rows * (r - f) / f
    return statistic, stats.chi2.sf(statistic, p), df_resid


def residual_sum_of_squares(design, target):
    solution, _, rank, _ = np.linalg.lstsq(design, target, rcond=1e-10)
    residual = target - design @ solution
    return residual @ residual, rank


# Pruning


def rank(scores, magnitudes):
    return sorted(range(len(scores)), key=lambda i: (-scores[i], -magnitudes[i], i))


def name_weights(layer_sizes):
    """Name each flat index by (layer, source unit, target unit)."""
    return [
        (layer, source, target)
        for layer in range(len(layer_sizes) - 1)
        for source in range(layer_sizes[layer])
        for target in range(layer_sizes[layer + 1])
    ]


def all_paths(layer_sizes):
    """List every path as the weights it takes, one per layer."""
    return [
        [(layer, *units[layer : layer + 2]) for layer in range(len(units) - 1)]
        for units in product(*[range(size) for size in layer_sizes])
    ]


def best_path(costs):
    """Compare (worst cost, sum, units from the output back) over all paths."""

    def key(path):
        taken = [costs[layer][source][target] for layer, source, target in path]
        return max(taken), sum(taken), [target for _, _, target in reversed(path)]

    # The first of equals has the lowest input unit.
    layer_sizes = [len(costs[0])] + [len(cost[0]) for cost in costs]
    return set(min(all_paths(layer_sizes), key=key))


def effective(kept, layer_sizes):
    """Return the weights of ``kept`` on a path that is kept as a whole."""
    whole = [path for path in all_paths(layer_sizes) if kept.issuperset(path)]
    return {weight for path in whole for weight in path}


def group_weights(weights, prune_scope):
    """Part the weights into those that compete, in the order given."""
    if prune_scope == "global":
        return [weights]
    n_layers = 1 + max(layer for layer, _, _ in weights)
    return [[w for w in weights if w[0] == layer] for layer in range(n_layers)]


def choose(ranked, n_pruned, prune_scope):
    """Keep the best weights of each group, without repair."""
    groups = group_weights(ranked, prune_scope)
    return {
        weight
        for group, n in zip(groups, n_pruned, strict=True)
        for weight in group[: len(group) - n]
    }


def choose_connected(ranked, n_pruned, layer_sizes, prune_scope, path):
    """Repair as the docstring of keep_best tells it, around a given best path."""
    groups = group_weights(ranked, prune_scope)
    n_kept = [len(group) - n for group, n in zip(groups, n_pruned, strict=True)]
    cost = {
        weight: (place + 1) / n
        for group, n in zip(groups, n_kept, strict=True)
        for place, weight in enumerate(group)
    }
    hidden = [
        (layer, unit)
        for layer in range(1, len(layer_sizes) - 1)
        for unit in range(layer_sizes[layer])
    ]
    dead, protected = set(), set(path)

    def is_living(weight):
        layer, source, target = weight
        return (layer, source) not in dead and (layer + 1, target) not in dead

    def inputs(unit, weights):
        return [w for w in weights if (w[0] + 1, w[2]) == unit]

    def outputs(unit, weights):
        return [w for w in weights if w[:2] == unit]

    def count(weights):
        return [len(set(group).intersection(weights)) for group in groups]

    def living_weights():
        return [weight for weight in ranked if is_living(weight)]

    while True:
        protected = {w for w in protected if is_living(w)}
        kept = set(protected)
        for group, n in zip(groups, n_kept, strict=True):
            first = [w for w in group if w not in protected and is_living(w)]
            last = [w for w in group if w not in protected and not is_living(w)]
            kept.update((first + last)[: n - len(protected & set(group))])

        living_kept = {w for w in kept if is_living(w)}
        living_units = [unit for unit in hidden if unit not in dead]
        connected = [
            unit
            for unit in living_units
            if inputs(unit, living_kept) and outputs(unit, living_kept)
        ]
        casualties = [unit for unit in living_units if unit not in connected]
        if not casualties:
            return kept

        def worth(unit, kept=living_kept):
            touching = inputs(unit, kept) + outputs(unit, kept)
            return -min((cost[w] for w in touching), default=float("inf"))

        casualties.sort(key=worth)
        any_died = False
        for unit in casualties:
            dead.add(unit)
            room = zip(count(living_weights()), n_kept, strict=True)
            if all(n_living >= n for n_living, n in room):
                any_died = True
            else:
                dead.remove(unit)
        if any_died:
            continue

        for unit in connected + casualties[::-1]:
            wanted = set()
            for side in (inputs, outputs):
                if not side(unit, protected):
                    wanted.add(min(side(unit, living_weights()), key=cost.get))
            room = zip(count(protected | wanted), n_kept, strict=True)
            if all(n_wanted <= n for n_wanted, n in room):
                protected |= wanted
            else:
                dead.add(unit)


def most_effective(n_inputs, n_hidden, n_outputs, n_kept):
    """Count the effective weights two layer counts allow, whichever units live."""
    return max(
        min(n_kept[0], n_inputs * n_alive) + min(n_kept[1], n_alive * n_outputs)
        for n_alive in range(1, n_hidden + 1)
        if n_alive <= min(n_kept)
    )


# Ablation


def activate(z, activation):
    """Apply an activation to one number."""
    if activation == "logistic":
        return 1 / (1 + math.exp(-z)) if z > -700 else 0.0
    if activation == "tanh":
        return math.tanh(z)
    return max(z, 0.0) if activation == "relu" else z


def row_loss(params, network, x, target):
    """Forward pass and loss of one row, weight by weight."""
    sizes = network.layer_sizes
    n_weights = sum(a * b for a, b in zip(sizes[:-1], sizes[1:], strict=True))
    weights, biases = iter(params[:n_weights]), iter(params[n_weights:])
    values = list(x)
    for layer, n_units in enumerate(sizes[1:]):
        z = [next(biases) for _ in range(n_units)]
        for value in values:
            for j in range(n_units):
                z[j] += value * next(weights)
        is_last = layer == len(sizes) - 2
        values = z if is_last else [activate(v, network.activation) for v in z]

    if network.out_activation == "softmax":
        log_sum = max(z) + math.log(sum(math.exp(v - max(z)) for v in z))
        return sum(t * (log_sum - v) for t, v in zip(target, z, strict=True))
    outputs = [activate(v, network.out_activation) for v in z]
    errors = [abs(o - t) for o, t in zip(outputs, target, strict=True)]
    if network.loss == "squared_error":
        return sum(error**2 for error in errors) / len(errors)
    if network.loss == "huber":
        losses = [e**2 if e <= 1.35 else 2.7 * e - 1.35**2 for e in errors]
        return sum(losses) / len(losses)
    return sum(
        max(v, 0.0) + math.log1p(math.exp(-abs(v))) - t * v
        for t, v in zip(target, z, strict=True)
    )


def ablate_weights(snapshots, network, data):
    """Zero each weight in turn and run the whole network again."""
    sizes = network.layer_sizes
    n_weights = sum(a * b for a, b in zip(sizes[:-1], sizes[1:], strict=True))
    changes = np.zeros((len(data.X), n_weights))
    for r, (x, target) in enumerate(zip(data.X, data.targets, strict=True)):
        for params in snapshots:
            loss = row_loss(params, network, x, target)
            for k in range(n_weights):
                without = params.copy()
                without[k] = 0.0
                changes[r, k] += row_loss(without, network, x, target) - loss
    changes /= len(snapshots)
    # how many rows each one stands for
    repeats = data.sample_weight * data.total_weight / sum(data.sample_weight)
    effects, squares = np.zeros(n_weights), np.zeros(n_weights)
    for change, repeat in zip(changes, repeats, strict=True):
        effects += repeat * change / sum(repeats)
    for change, repeat in zip(changes, repeats, strict=True):
        squares += repeat * (change - effects) ** 2
    variances = squares / (data.total_weight - 1)
    return effects, np.sqrt(variances / data.total_weight)


def squared_gradients(params, network, data, step=1e-5):
    """Central differences of each row's loss, squared and averaged."""
    sizes = network.layer_sizes
    n_weights = sum(a * b for a, b in zip(sizes[:-1], sizes[1:], strict=True))
    squares = np.zeros(n_weights)
    for x, target, weight in zip(data.X, data.targets, data.sample_weight, strict=True):
        for k in range(n_weights):
            losses = []
            for sign in (1, -1):
                moved = params.copy()
                moved[k] += sign * step
                losses.append(row_loss(moved, network, x, target))
            slope = (losses[0] - losses[1]) / (2 * step)
            squares[k] += weight * slope**2 / len(data.X)
    return squares


# Swaps


def eliminate(free, matrix, penalty, groups, n_removed, damping):
    """Remove the weight whose removal costs least, and solve for all others, n times.

    The objective is taken for the parabola around its lowest point that the matrix
    describes, with the penalty on the weights and the damping on all.
    """
    free, places, left = free.copy(), [], list(range(len(free)))
    n_removed = list(n_removed)
    curvature = matrix + damping * np.eye(len(free))
    for k in range(len(groups)):
        curvature[k, k] += penalty

    def measure():
        inverse = np.linalg.inv(curvature[np.ix_(left, left)])
        return {
            k: free[k] ** 2 / inverse[place, place] / 2
            for place, k in enumerate(left)
            if k < len(groups)
        }

    while sum(n_removed):
        costs = measure()
        gone = min((k for k in costs if n_removed[groups[k]]), key=costs.get)
        left.remove(gone)
        n_removed[groups[gone]] -= 1
        block = curvature[np.ix_(left, left)]
        free[left] += np.linalg.solve(block, curvature[left, gone] * free[gone])
        free[gone] = 0.0
        places.append(gone)
    costs = measure()
    return free, places + sorted(costs, key=costs.get)


def swap(mask, gains, noise, n_added, layer_sizes):
    """The mask with added weights: between living units first, then by gains."""
    outside = [k for k in range(len(mask)) if not mask[k]]
    living = weights_between_living(mask, layer_sizes)
    outside.sort(key=lambda k: (k not in living, -gains[k] * math.exp(noise[k])))
    return [kept or k in outside[:n_added] for k, kept in enumerate(mask)]


def weights_between_living(mask, layer_sizes):
    """Indices of the weights whose two units are inputs, outputs or alive."""
    edges = []
    for layer, (fan_in, fan_out) in enumerate(
        zip(layer_sizes[:-1], layer_sizes[1:], strict=True)
    ):
        for i in range(fan_in):
            edges += [((layer, i), (layer + 1, j)) for j in range(fan_out)]
    sources = {edge[0] for edge, kept in zip(edges, mask, strict=True) if kept}
    targets = {edge[1] for edge, kept in zip(edges, mask, strict=True) if kept}

    def is_alive(unit):
        if unit[0] in (0, len(layer_sizes) - 1):
            return True
        return unit in sources and unit in targets

    return {k for k, (a, b) in enumerate(edges) if is_alive(a) and is_alive(b)}


# Importances


def row_logits(params, network, x):
    """Forward pass of one row, weight by weight, without the output activation."""
    sizes = network.layer_sizes
    n_weights = sum(a * b for a, b in zip(sizes[:-1], sizes[1:], strict=True))
    weights, biases = iter(params[:n_weights]), iter(params[n_weights:])
    values = list(x)
    for n_units in sizes[1:]:
        z = [next(biases) for _ in range(n_units)]
        for value in values:
            for j in range(n_units):
                z[j] += value * next(weights)
        values = [activate(v, network.activation) for v in z]
    return z


def gradient_importances(params, network, data, step=1e-6):
    """Central differences of each row's logits, times the distance from the mean."""
    n_features = len(data.X[0])
    total_weight = sum(data.sample_weight)
    importances = np.zeros(n_features)
    for j in range(n_features):
        column = [x[j] for x in data.X]
        products = zip(column, data.sample_weight, strict=True)
        mean = sum(value * weight for value, weight in products) / total_weight
        for x, weight in zip(data.X, data.sample_weight, strict=True):
            both = []
            for sign in (1, -1):
                moved = x.copy()
                moved[j] += sign * step
                both.append(row_logits(params, network, moved))
            for up, down in zip(*both, strict=True):
                slope = (up - down) / (2 * step)
                importances[j] += weight * abs((x[j] - mean) * slope) / total_weight
    return importances


def gradient_directions(params, network, data, step=1e-6):
    """Mean central difference of each logit, as a share of the mean absolute one."""
    n_features, n_outputs = len(data.X[0]), network.layer_sizes[-1]
    directions = np.zeros((n_features, n_outputs))
    for j in range(n_features):
        for k in range(n_outputs):
            total, size = 0.0, 0.0
            for x, weight in zip(data.X, data.sample_weight, strict=True):
                both = []
                for sign in (1, -1):
                    moved = x.copy()
                    moved[j] += sign * step
                    both.append(row_logits(params, network, moved)[k])
                slope = (both[0] - both[1]) / (2 * step)
                total += weight * slope
                size += weight * abs(slope)
            directions[j, k] = total / size if size else 0.0
    return directions


def permutation_importances(params, network, data, orders, groups=None):
    """Run the whole network again with each column, or group, in each order."""
    importances = np.zeros(data.X.shape[1])
    for group in groups or [[j] for j in range(data.X.shape[1])]:
        rises = []
        for order in orders:
            shuffled = data.X.copy()
            for row, other in enumerate(order):
                for j in group:
                    shuffled[row, j] = data.X[other, j]
            worse = mean_loss(shuffled, params, network, data)
            rises.append(worse - mean_loss(data.X, params, network, data))
        importances[group[0]] = max(0.0, sum(rises) / len(rises))
    return importances


def mean_loss(X, params, network, data):
    total = 0.0
    for x, target, weight in zip(X, data.targets, data.sample_weight, strict=True):
        total += weight * row_loss(params, network, x, target)
    return total / sum(data.sample_weight)


def sum_over_paths(strengths, layer_sizes):
    """Add up the products of flat strengths along all paths, for each input."""
    strength = dict(zip(name_weights(layer_sizes), strengths, strict=True))
    totals = np.zeros(layer_sizes[0])
    for path in all_paths(layer_sizes):
        _, first, _ = path[0]
        totals[first] += math.prod(strength[weight] for weight in path)
    return totals


def connection_importances(params, network):
    """Multiply the sizes of the weights along each path."""
    sizes = network.layer_sizes
    n_weights = sum(a * b for a, b in zip(sizes[:-1], sizes[1:], strict=True))
    return sum_over_paths([abs(weight) for weight in params[:n_weights]], sizes)


def connection_directions(params, network):
    """Products of weights along all paths to an output, as a share of their sizes."""
    sizes = network.layer_sizes
    weights = dict(zip(name_weights(sizes), params, strict=False))
    signed, absolute = np.zeros((2, sizes[0], sizes[-1]))
    for path in all_paths(sizes):
        (_, first, _), (_, _, last) = path[0], path[-1]
        product = math.prod(weights[weight] for weight in path)
        signed[first, last] += product
        absolute[first, last] += abs(product)
    return np.divide(signed, absolute, out=np.zeros_like(signed), where=absolute > 0)


def causal_importances(kept, p_values, layer_sizes):
    """Multiply the strengths of the kept weights along each path."""
    strengths = []
    for is_kept, p in zip(kept, p_values, strict=True):
        is_evidence = is_kept and not math.isnan(p)
        # math.ulp(0) would be the smallest of all; this is the smallest normal one
        strengths.append(-math.log(max(p, 2.0**-1022)) if is_evidence else 0.0)
    return sum_over_paths(strengths, layer_sizes)


# Compact networks


def compact(coefs, intercepts, activation):
    """Take out one hidden unit at a time, until none is dead or constant.

    Returns the weights, the biases, and the inputs that are used.
    """
    coefs = [np.array(W) for W in coefs]
    intercepts = [np.array(b) for b in intercepts]

    def find():
        for layer in range(len(coefs) - 1):
            for unit in range(coefs[layer].shape[1]):
                is_constant = all(weight == 0 for weight in coefs[layer][:, unit])
                is_dead = all(weight == 0 for weight in coefs[layer + 1][unit])
                if is_constant or is_dead:
                    return layer, unit
        return None

    while (found := find()) is not None:
        layer, unit = found
        if all(weight == 0 for weight in coefs[layer][:, unit]):
            output = activate(intercepts[layer][unit], activation)
            for target, weight in enumerate(coefs[layer + 1][unit]):
                intercepts[layer + 1][target] += output * weight
        coefs[layer] = np.delete(coefs[layer], unit, axis=1)
        intercepts[layer] = np.delete(intercepts[layer], unit)
        coefs[layer + 1] = np.delete(coefs[layer + 1], unit, axis=0)

    used = [j for j, row in enumerate(coefs[0]) if any(weight != 0 for weight in row)]
    coefs[0] = coefs[0][used]
    if not used:
        coefs, intercepts = [np.zeros((0, len(intercepts[-1])))], intercepts[-1:]
    return coefs, intercepts, used


# Displays


def count_crossings(edges):
    lines = [
        (i, j) for i, row in enumerate(edges) for j, edge in enumerate(row) if edge
    ]
    return sum(a < c and b > d for a, b in lines for c, d in lines)
