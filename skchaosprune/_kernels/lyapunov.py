"""Largest Lyapunov exponents of short series, by the method of Rosenstein.

The neighbour of a point is the nearest other point of the delay embedding, and it is
found exactly, in one of two ways. In short series all pairs are compared, many series
side by side, in loops that vectorise. In longer ones most pairs are never looked at:
the points are sorted on their first coordinate, a few vectorised passes compare each
with the points close to it in that order, and a scalar search finishes the points that
may still improve.
"""

import math

import numpy as np

from skchaosprune._kernels.jit import jit, jit_inner
from skchaosprune._text import shorten
from skchaosprune._validation import check_number, check_series

# Neighbours lie at squared distances below 1, the squared range of a rescaled series.
_BELOW_ONE = 1.0 - 2.0**-53

# Series handled in one call of a kernel.
_BLOCK = 256

# Up to so many points it is quicker to compare all pairs than to sort, of so many
# series at a time that what they need stays in the processor's second cache. A plane
# holds the distances of all pairs that are equally far apart in time, after a margin of
# no pairs.
_FEW_POINTS = 150
_LANES = 64
_MARGIN = 3 * _LANES
_PLANE = _MARGIN + (_FEW_POINTS + 1) * _LANES

# The vectorised passes look this many places to either side in sorted order, and ask
# after every `_LAGS_PER_CHECK` of them whether the scalar search would be cheaper.
_REACH = 16
_LAGS_PER_CHECK = 4
_OPEN_SHARE = 0.2

# More points than this in one bucket are too many for an insertion sort.
_CROWDED = 64

# A product of squared distances is kept above this, and a factor too, so that
# neither the product nor the next one underflows.
_SMALLEST_PRODUCT = 1e-140
_LARGEST_PRODUCT = 1e140


def largest_lyapunov_exponent(
    series,
    *,
    embedding_dimension=2,
    delay=1,
    theiler_window=0,
    n_steps=3,
    static_tolerance=0.0,
):
    r"""Estimate the largest Lyapunov exponent of each series.

    Parameters
    ----------
    series : array-like of shape (n_times,) or (n_times, n_series)
        Equally spaced values; one column per series. Real numbers of any type or
        bools; None, pandas' NA and masked values count as NaN.
    embedding_dimension : int, default=2
        Coordinates of the delay embedding, at least 1.
    delay : int, default=1
        Time steps between two coordinates of the embedding, at least 1.
    theiler_window : int, default=0
        Points at most this many time steps apart are never neighbours. With 0 only
        the point itself is excluded.
    n_steps : int, default=3
        Time steps over which a neighbour pair could be followed, at least 1. The
        exponent needs the first only; a larger value leaves out the last points of
        the series, as a longer divergence curve would.
    static_tolerance : float, default=0.0
        A series whose range (largest minus smallest value) is below this counts as
        constant.

    Returns
    -------
    exponents : float or ndarray of shape (n_series,)
        In nats per time step. 0.0 for a constant series and for one without any pair
        of neighbours that can be followed; NaN for a series with a value that is not
        finite, or whose range overflows.

    Raises
    ------
    TypeError
        If a parameter, or the values of ``series``, are of the wrong type.
    ValueError
        If a parameter is out of range, ``series`` has neither one nor two dimensions
        or a finite number too large for float64, or it is too short for one neighbour
        pair.

    Notes
    -----
    The series is rescaled to [0, 1] and embedded. Let :math:`q_l(i)` be the squared
    distance, after :math:`l` time steps, between point :math:`i` and the point that
    was nearest to it (pairs at distance zero are no neighbours; of equally near points
    the latest is taken), and

    .. math:: S(l) = \frac{1}{2} \langle \log q_l(i) \rangle_{i: q_l(i) > 0}

    the divergence curve of [1]_. The exponent is its first slope,
    :math:`S(1) - S(0)`, as computed from the output of ``lyap_r`` in TISEAN [2]_ when
    its first search radius covers the whole series. Points without a neighbour are
    skipped, where ``lyap_r`` would search for ever.

    Read the result as a measure of roughness, not as evidence of chaos:

    - The first slope is biased. It gives 0.30 for the Hénon map, where the later
      slopes of the curve are 0.41 to 0.44.
    - For a flow the bias depends on the sampling. The exponent of the Lorenz system is
      0.906 per unit of time. With five coordinates 0.1 apart and a Theiler window of
      1, 5,000 values of x give 0.15 (0.10 to 0.23 over 20 initial states) when sampled
      every 0.01, 0.64 every 0.05 and 1.01 every 0.1. The default embedding
      overestimates it, as the two coordinates of a densely sampled flow hardly differ:
      36 every 0.01, 4.9 every 0.1. Compare exponents of series that are sampled and
      embedded alike; do not read them as those of the system.
    - White noise has higher values than chaos, and they grow with the length of the
      series: for Gaussian noise 1.25 on average over 50 values, 1.89 over 200, 2.65
      over 1000. Compare only series of one length.
    - A positive value proves no chaos.

    Shifting or scaling a series leaves its exponent unchanged, up to rounding.

    References
    ----------
    .. [1] M. T. Rosenstein, J. J. Collins, C. J. De Luca (1993). A practical method
       for calculating largest Lyapunov exponents from small data sets. Physica D 65,
       117-134.
    .. [2] R. Hegger, H. Kantz, T. Schreiber (1999). Practical implementation of
       nonlinear time series methods: The TISEAN package. Chaos 9, 413-435.

    Examples
    --------
    The exponent of the logistic map at r = 4 is ln 2 = 0.693...:

    >>> import numpy as np
    >>> from skchaosprune import largest_lyapunov_exponent
    >>> x = np.empty(5000)
    >>> x[0] = 0.3
    >>> for t in range(len(x) - 1):
    ...     x[t + 1] = 4 * x[t] * (1 - x[t])
    >>> round(largest_lyapunov_exponent(x), 2)
    0.69
    """
    check_number(embedding_dimension, "embedding_dimension", "int", low=1)
    check_number(delay, "delay", "int", low=1)
    check_number(theiler_window, "theiler_window", "int", low=0)
    check_number(n_steps, "n_steps", "int", low=1)
    check_number(static_tolerance, "static_tolerance", "float", low=0)
    values = check_series(series, "series", "n_series")

    # numpy's small integers could overflow in a sum
    window = tuple(map(int, (embedding_dimension, delay, theiler_window, n_steps)))
    shortest = minimum_length(*window)
    if len(values) < shortest:
        raise ValueError(
            f"series has {len(values)} values, too short for one pair of neighbours; "
            f"embedding_dimension={shorten(window[0])}, delay={shorten(window[1])}, "
            f"theiler_window={shorten(window[2])} and n_steps={shorten(window[3])} "
            f"need at least {shorten(shortest)}. Use a longer series or smaller "
            "parameters."
        )

    columns = values[:, np.newaxis] if values.ndim == 1 else values
    exponents = np.empty(columns.shape[1])
    _exponents(columns, exponents, *window, float(static_tolerance))
    return float(exponents[0]) if values.ndim == 1 else exponents


def minimum_length(embedding_dimension, delay, theiler_window, n_steps):
    """Return the fewest values a series needs for one pair of neighbours."""
    return (embedding_dimension - 1) * delay + n_steps + theiler_window + 2


def _exponents(
    series,
    out,
    embedding_dimension,
    delay,
    theiler_window,
    n_steps,
    static_tolerance,
):
    """Write the exponents of the columns of ``series`` to ``out``, unchecked.

    A block of columns is copied, and stays in the cache. The copy also gives a kernel
    one memory layout, hence one compilation.
    """
    n_points = len(series) - (embedding_dimension - 1) * delay - n_steps
    kernel, embedding = _exponents_by_sorting, (embedding_dimension, delay)
    if n_points <= _FEW_POINTS:
        kernel = _exponents_of_columns
        # two coordinates with delay 1 have a kernel without the code for all others
        embedding = None if embedding == (2, 1) else embedding
    for first in range(0, series.shape[1], _BLOCK):
        block = slice(first, first + _BLOCK)
        columns = np.array(series[:, block], np.float64, order="C")
        low, spread = _ranges(columns, static_tolerance)
        moving = np.flatnonzero(spread > 0.0)
        # not a return value: Ctrl-C while numba boxes an array is a SystemError
        exponents = spread.copy()  # 0 where static, NaN where not finite
        kernel(
            columns, moving, low, spread, n_points, embedding, theiler_window, exponents
        )
        out[block] = exponents


@np.errstate(invalid="ignore", over="ignore")
def _ranges(columns, static_tolerance):
    """Return the smallest value and the range of every column, 0 or NaN if unfit."""
    low = columns.min(axis=0)
    spread = columns.max(axis=0) - low
    spread[~np.isfinite(spread)] = np.nan
    spread[spread < static_tolerance] = 0.0
    return low, spread


@jit
def _exponents_of_columns(
    columns,
    moving,
    low,
    spread,
    n_points,
    embedding,
    theiler_window,
    exponents,
):
    """Compare all pairs of points of the moving series, `_LANES` side by side.

    Arrays are flat, time by time and within a time lane by lane, so that every loop
    over pairs is one long loop without branches.
    """
    size = n_points * _LANES
    y = np.empty((len(columns) + 4) * _LANES)
    for k in range(y.size):
        y[k] = 0.0
    distances = np.empty(4 * _PLANE)
    for plane in range(0, distances.size, _PLANE):
        for k in range(_MARGIN):
            distances[plane + k] = math.inf
    later = np.empty(size), np.empty(size)
    earlier = np.empty(size), np.empty(size)
    slopes = np.empty(_LANES)
    for first in range(0, moving.size, _LANES):
        lanes = moving[first : first + _LANES]
        _fill_lanes(columns, low, spread, lanes, y)
        _search_all(
            y,
            distances,
            n_points,
            embedding,
            theiler_window,
            later,
            earlier,
        )
        _first_slopes(later, earlier, n_points - theiler_window, slopes)
        for lane in range(lanes.size):
            exponents[lanes[lane]] = slopes[lane]


@jit_inner
def _fill_lanes(columns, low, spread, lanes, y):
    """Write the series of the lanes, rescaled to [0, 1]; leave the other lanes."""
    for t in range(len(columns)):
        for lane in range(lanes.size):
            column = lanes[lane]
            value = (columns[t, column] - low[column]) / spread[column]
            y[t * _LANES + lane] = value


@jit_inner
def _search_all(
    y,
    distances,
    n_points,
    embedding,
    theiler_window,
    later,
    earlier,
):
    """Find the nearest ``later`` and ``earlier`` points of all points.

    Each is a pair of arrays: the squared distance to it, and how far the two are apart
    one step on; NaN before there is one. Pairs with four lags are compared at a time.
    Of equally near points the latest counts: its lag is the largest of the later ones,
    and the smallest of the earlier ones.
    """
    n_references = n_points - theiler_window
    for k in range(n_points * _LANES):
        later[0][k] = _BELOW_ONE
        earlier[0][k] = 1.0
        later[1][k] = earlier[1][k] = math.nan
    pairs = distances[_MARGIN:]
    for lag in range(theiler_window + 1, n_points, 4):
        there = y[lag * _LANES :]
        n_pairs = n_points - lag  # of the first lag; the others have fewer
        size = (n_pairs + 1) * _LANES
        if embedding is None:
            _measure_in_two(y, there, size, pairs)
        else:
            _measure(y, there, embedding, size, pairs)

        first, last = lag * _LANES, max(lag, n_references) * _LANES
        _keep_earlier(distances, earlier[0][first:last], earlier[1][first:last])
        # points that have pairs with all four lags, then the few others
        first = max(0, n_pairs - 3) * _LANES
        _keep_later(pairs, later[0][:first], later[1])
        for extra in range(min(3, n_pairs)):
            last = (n_pairs - extra) * _LANES
            plane = pairs[extra * _PLANE :]
            _keep(
                plane[first:last],
                plane[first + _LANES :],
                later[0][first:],
                later[1][first:],
            )


@jit_inner
def _measure_in_two(here, there, n, distances):
    """Write the squared distances of points and those 0 to 3 times after ``there``.

    One plane for each of the four, of two coordinates with delay 1; infinite where the
    distance is zero, which is no neighbour.
    """
    for k in range(n):
        first, second = here[k], here[k + _LANES]
        across = first - there[k]
        along = second - there[k + _LANES]
        distance = across * across + along * along
        distances[k] = distance if distance > 0.0 else math.inf
        across = first - there[k + _LANES]
        along = second - there[k + 2 * _LANES]
        distance = across * across + along * along
        distances[k + _PLANE] = distance if distance > 0.0 else math.inf
        across = first - there[k + 2 * _LANES]
        along = second - there[k + 3 * _LANES]
        distance = across * across + along * along
        distances[k + 2 * _PLANE] = distance if distance > 0.0 else math.inf
        across = first - there[k + 3 * _LANES]
        along = second - there[k + 4 * _LANES]
        distance = across * across + along * along
        distances[k + 3 * _PLANE] = distance if distance > 0.0 else math.inf


@jit_inner
def _measure(here, there, embedding, n, distances):
    """As ``_measure_in_two``, for any number of coordinates and any delay."""
    embedding_dimension, delay = embedding
    shift = delay * _LANES
    for lag in range(4):
        plane = distances[lag * _PLANE : lag * _PLANE + n]
        for k in range(n):
            plane[k] = 0.0
        for coordinate in range(embedding_dimension):
            one = here[coordinate * shift :]
            other = there[lag * _LANES + coordinate * shift :]
            for k in range(n):
                difference = one[k] - other[k]
                plane[k] += difference * difference
        for k in range(n):
            plane[k] = plane[k] if plane[k] > 0.0 else math.inf


@jit_inner
def _keep_later(distances, nearest, following):
    """Replace the nearest later points where one of the next four lags is as near.

    Written out, so that a point is loaded and stored once for the four of them. Adding
    zero keeps LLVM from choosing between addresses, which does not vectorise.
    """
    for k in range(len(nearest)):
        closest, after = nearest[k], following[k]
        distance, then = distances[k], distances[k + _LANES] + 0.0
        nearer = distance <= closest
        closest, after = distance if nearer else closest, then if nearer else after
        distance = distances[k + _PLANE]
        then = distances[k + _LANES + _PLANE] + 0.0
        nearer = distance <= closest
        closest, after = distance if nearer else closest, then if nearer else after
        distance = distances[k + 2 * _PLANE]
        then = distances[k + _LANES + 2 * _PLANE] + 0.0
        nearer = distance <= closest
        closest, after = distance if nearer else closest, then if nearer else after
        distance = distances[k + 3 * _PLANE]
        then = distances[k + _LANES + 3 * _PLANE] + 0.0
        nearer = distance <= closest
        nearest[k] = distance if nearer else closest
        following[k] = then if nearer else after


@jit_inner
def _keep_earlier(distances, nearest, following):
    """Replace the nearest earlier points where one of the next four lags is nearer.

    The plane of a lag begins one place later than that of the lag before; the first
    points, which have no earlier point so far away, find the margin there.
    """
    for k in range(len(nearest)):
        closest, after = nearest[k], following[k]
        distance = distances[k + 3 * _LANES]
        then = distances[k + 4 * _LANES] + 0.0
        nearer = distance < closest
        closest, after = distance if nearer else closest, then if nearer else after
        distance = distances[k + 2 * _LANES + _PLANE]
        then = distances[k + 3 * _LANES + _PLANE] + 0.0
        nearer = distance < closest
        closest, after = distance if nearer else closest, then if nearer else after
        distance = distances[k + _LANES + 2 * _PLANE]
        then = distances[k + 2 * _LANES + 2 * _PLANE] + 0.0
        nearer = distance < closest
        closest, after = distance if nearer else closest, then if nearer else after
        distance = distances[k + 3 * _PLANE]
        then = distances[k + _LANES + 3 * _PLANE] + 0.0
        nearer = distance < closest
        nearest[k] = distance if nearer else closest
        following[k] = then if nearer else after


@jit_inner
def _keep(distances, afterwards, nearest, following):
    """As ``_keep_later``, for one lag."""
    for k in range(len(distances)):
        closest, after = nearest[k], following[k]
        distance, then = distances[k], afterwards[k] + 0.0
        nearer = distance <= closest
        nearest[k] = distance if nearer else closest
        following[k] = then if nearer else after


@jit_inner
def _first_slopes(later, earlier, n_references, slopes):
    """Write the first slope of every lane's divergence curve; 0 without a pair.

    Overwrites ``later`` with the nearer of both neighbours.
    """
    _choose_nearer(later[0], later[1], earlier[0], earlier[1])
    initial, n_initial = _sums_of_logs(later[0], n_references)
    final, n_final = _sums_of_logs(later[1], n_references)
    for lane in range(_LANES):
        slopes[lane] = 0.0
        if n_final[lane] > 0.0:
            slopes[lane] = (
                final[lane] / n_final[lane] / 2 - initial[lane] / n_initial[lane] / 2
            )


@jit_inner
def _choose_nearer(nearest, following, nearest_before, following_before):
    """Choose the nearer of a later and an earlier neighbour; infinity for neither."""
    for k in range(len(nearest)):
        before, after = nearest_before[k], nearest[k]
        then_before, then_after = following_before[k] + 0.0, following[k]
        # an earlier one at `_BELOW_ONE` is as far as no later one
        earlier = (before < after) | (then_after != then_after)
        distance = before if earlier else after
        then = then_before if earlier else then_after
        nearest[k] = distance if then == then else math.inf
        following[k] = then


@jit_inner
def _sums_of_logs(values, n_rows):
    """Sum and count the logarithms of each lane's finite values."""
    sums, counts = np.empty(_LANES), np.empty(_LANES)
    products, factors = np.empty(_LANES), np.empty(_LANES)
    for b in range(_LANES):
        sums[b] = counts[b] = 0.0
        products[b] = 1.0
    for row in range(n_rows):
        of_row = values[row * _LANES : (row + 1) * _LANES]
        n_extreme = 0
        for b in range(_LANES):
            value = of_row[b]
            counts[b] += 1.0 if value < math.inf else 0.0
            factor = value if value < math.inf else 1.0
            factors[b] = factor
            product = products[b] * factor
            n_extreme += (product < _SMALLEST_PRODUCT) | (product > _LARGEST_PRODUCT)
        for b in range(_LANES if n_extreme > 0 else 0):
            product = products[b] * factors[b]
            if product < _SMALLEST_PRODUCT or product > _LARGEST_PRODUCT:
                sums[b] += math.log(products[b]) + math.log(factors[b])
                products[b] = factors[b] = 1.0
        for b in range(_LANES):
            products[b] *= factors[b]
    for b in range(_LANES):
        sums[b] += math.log(products[b])
    return sums, counts


@jit
def _exponents_by_sorting(
    columns, moving, low, spread, n_points, embedding, theiler_window, exponents
):
    """Sort the points of one moving series after the other."""
    # long, as all steps share the scratch arrays of one series
    embedding_dimension, delay = embedding
    y = np.empty(len(columns))
    counts = np.empty(2 * n_points + 1, np.int64)
    # In sorted order, with `_REACH` sentinels on both sides: infinitely far away, they
    # end every search. Indices are floats so that the passes over them vectorise.
    first = np.empty(n_points + 2 * _REACH)
    second = np.empty(n_points + 2 * _REACH)
    order = np.empty(n_points + 2 * _REACH)
    for place in range(first.size):
        first[place] = -math.inf if place < _REACH else math.inf
        second[place] = 0.0
        order[place] = -1.0
    nearest = np.empty(n_points)
    partner = np.empty(n_points)
    is_open = np.empty(n_points, np.bool_)

    for column in moving:
        smallest, width = low[column], spread[column]
        for t in range(y.size):
            y[t] = (columns[t, column] - smallest) / width
        _sort_points(y, first, order, counts)
        if embedding_dimension > 1:
            for place in range(_REACH, _REACH + n_points):
                second[place] = y[int(order[place]) + delay]

        for point in range(n_points):
            nearest[point] = _BELOW_ONE
            partner[point] = -1.0
            is_open[point] = True
        lag = 0
        # Two coordinates are the whole distance only up to two dimensions.
        if embedding_dimension <= 2:
            lag = _search_nearby(
                first, second, order, theiler_window, nearest, partner, is_open
            )

        exponents[column] = _slope_of_pairs(
            y,
            first,
            second,
            order,
            lag,
            nearest,
            partner,
            is_open,
            embedding_dimension,
            delay,
            theiler_window,
        )


@jit_inner
def _slope_of_pairs(
    y,
    first,
    second,
    order,
    lag,
    nearest,
    partner,
    is_open,
    embedding_dimension,
    delay,
    theiler_window,
):
    """First slope of the divergence curve, after the search of the open points."""
    n_points = len(nearest)
    initial = np.empty(n_points)
    final = np.empty(n_points)
    n_initial = 0
    n_final = 0
    for point in range(n_points):
        i = int(order[_REACH + point])
        if i >= n_points - theiler_window:
            continue
        distance, j = nearest[point], int(partner[point])
        if is_open[point]:
            distance, j = _finish_search(
                y,
                first,
                second,
                order,
                _REACH + point,
                lag,
                distance,
                j,
                embedding_dimension,
                delay,
                theiler_window,
            )
        if j < 0:
            continue
        initial[n_initial] = distance
        n_initial += 1

        distance = 0.0
        for k in range(embedding_dimension):
            difference = y[i + 1 + k * delay] - y[j + 1 + k * delay]
            distance += difference * difference
        if distance > 0.0:
            final[n_final] = distance
            n_final += 1

    if n_final == 0:
        return 0.0
    return (
        _sum_of_logs(final, n_final) / n_final / 2
        - _sum_of_logs(initial, n_initial) / n_initial / 2
    )


@jit_inner
def _sort_points(y, first, order, counts):
    """Sort the first coordinates into ``first``, and their indices into ``order``.

    A counting sort into buckets of equal width, and an insertion sort to finish, which
    keeps equal values in the order of their indices. Where a bucket is crowded, as an
    outlier makes it, passes over values farther apart come first.
    """
    n_buckets = len(counts) - 1
    n_points = n_buckets // 2

    for bucket in range(n_buckets + 1):
        counts[bucket] = 0
    most = 0
    for i in range(n_points):
        bucket = int(y[i] * (n_buckets - 1)) + 1
        counts[bucket] += 1
        most = max(most, counts[bucket])
    for bucket in range(n_buckets):
        counts[bucket + 1] += counts[bucket]
    for i in range(n_points):
        bucket = int(y[i] * (n_buckets - 1))
        first[_REACH + counts[bucket]] = y[i]
        order[_REACH + counts[bucket]] = i
        counts[bucket] += 1

    gap = 1
    while most > _CROWDED and 9 * gap < most:
        gap = 3 * gap + 1  # Knuth's distances for a Shell sort
    while gap > 0:
        _insert(first, order, n_points, gap)
        gap //= 3


@jit_inner
def _insert(first, order, n_points, gap):
    """Sort the values that are ``gap`` places apart by insertion."""
    for place in range(_REACH + gap, _REACH + n_points):
        value, index = first[place], order[place]
        while place >= _REACH + gap and (
            first[place - gap] > value
            or (first[place - gap] == value and order[place - gap] > index)
        ):
            first[place] = first[place - gap]
            order[place] = order[place - gap]
            place -= gap
        first[place], order[place] = value, index


@jit_inner
def _search_nearby(first, second, order, theiler_window, nearest, partner, is_open):
    """Compare all points with those nearby in sorted order; return how far it looked.

    ``is_open`` flags those that may have a nearer point farther on. Every loop over the
    points works on slices, without branches: it vectorises.
    """
    n_points = len(nearest)
    here = first[_REACH:]
    lag = 0
    n_open = n_points
    while lag < _REACH and n_open > _OPEN_SHARE * n_points:
        for _ in range(_LAGS_PER_CHECK):
            lag += 1
            for shift in (-lag, lag):
                _compare_at(
                    shift, first, second, order, theiler_window, nearest, partner
                )

        below = first[_REACH - lag :]
        above = first[_REACH + lag :]
        n_open = 0
        for point in range(n_points):
            down = here[point] - below[point]
            up = above[point] - here[point]
            closest = nearest[point]
            is_open[point] = (down * down <= closest) | (up * up <= closest)
        for point in range(n_points):
            n_open += is_open[point]
    return lag


@jit_inner
def _compare_at(shift, first, second, order, theiler_window, nearest, partner):
    """Compare each point with the one ``shift`` places on in sorted order."""
    here, here_second, here_order = first[_REACH:], second[_REACH:], order[_REACH:]
    there = first[_REACH + shift :]
    there_second = second[_REACH + shift :]
    there_order = order[_REACH + shift :]
    for point in range(len(nearest)):
        across = here[point] - there[point]
        along = here_second[point] - there_second[point]
        distance = across * across + along * along
        j = there_order[point]
        closest = nearest[point]
        better = (
            (distance > 0.0)
            & ((distance < closest) | ((distance == closest) & (j > partner[point])))
            & (abs(here_order[point] - j) > theiler_window)
        )
        nearest[point] = distance if better else closest
        partner[point] = j if better else partner[point]


@jit_inner
def _finish_search(
    y,
    first,
    second,
    order,
    place,
    lag,
    closest,
    partner,
    embedding_dimension,
    delay,
    theiler_window,
):
    """Search beyond ``lag`` places in sorted order for one point's neighbour.

    The search of a side ends where the first coordinate alone is farther than the
    nearest point so far. An equal distance goes on, because a later point may tie.
    """
    i = order[place]
    for side in (-1, 1):
        there = place + side * (lag + 1)
        there = min(max(there, _REACH - 1), len(first) - _REACH)  # the first sentinel
        while True:
            across = first[place] - first[there]
            distance = across * across
            if distance > closest:
                break
            along = second[place] - second[there]
            distance += along * along
            j = order[there]
            for k in range(2, embedding_dimension):
                difference = y[int(i) + k * delay] - y[int(j) + k * delay]
                distance += difference * difference
            nearer = distance < closest or (distance == closest and j > partner)
            if nearer and distance > 0.0 and abs(i - j) > theiler_window:
                closest = distance
                partner = j
            there += side
    return closest, int(partner)


@jit_inner
def _sum_of_logs(values, n_values):
    """Sum the logarithms of positive values, with few calls of the logarithm."""
    total = 0.0
    product = 1.0
    for index in range(n_values):
        value = values[index]
        if value < _SMALLEST_PRODUCT:
            total += math.log(value)
            continue
        product *= value
        if product < _SMALLEST_PRODUCT or product > _LARGEST_PRODUCT:
            total += math.log(product)
            product = 1.0
    return total + math.log(product)
