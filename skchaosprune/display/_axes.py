"""Axes, and labels that fit on them."""

import numpy as np

from skchaosprune._text import shorten, width_of, wrap
from skchaosprune.display._colors import COLORS, INKS, SIGNS

SMALLEST_FONT, LARGEST_FONT = 5.0, 10.0  # points
_LETTER = 0.58  # mean width of a letter, as a share of its font size


def import_pyplot():
    """Import matplotlib, or say how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Displays need matplotlib, which is not installed: "
            "pip install skchaosprune[plots]"
        ) from error
    return plt


def make_axes(ax, figsize):
    """Return the axes given, or those of a new figure."""
    plt = import_pyplot()
    if ax is None:
        _, ax = plt.subplots(figsize=figsize, layout="constrained")
    return ax


def make_panels(ax, figsize, n_rows, n_columns, **ratios):
    """Return an array of axes: those given, or panels in the place of one."""
    plt = import_pyplot()
    n_panels = n_rows * n_columns
    ax = make_axes(ax, figsize)
    if not isinstance(ax, plt.Axes):
        axes = np.array(ax, dtype=object).ravel()
        if len(axes) != n_panels:
            raise ValueError(
                f"ax has {len(axes)} axes, and {n_panels} are needed; give {n_panels}, "
                "or one that makes room for them."
            )
        return axes
    if not ax.axison or ax.get_subplotspec() is None:
        raise ValueError(
            "ax cannot make room for panels, as it was switched off by an earlier plot "
            "or is not part of a grid; use one of plt.subplots, or give an array of "
            f"{n_panels} axes."
        )
    ax.set_axis_off()
    if ax.figure.get_layout_engine() is None:
        ratios |= {"wspace": 0.6, "hspace": 0.3}  # room for labels
    cells = ax.get_subplotspec().subgridspec(n_rows, n_columns, **ratios)
    return np.array([ax.figure.add_subplot(cell) for cell in cells], dtype=object)


def measure(ax):
    """Width and height of an axes in points, before the layout moves it."""
    extent = ax.get_window_extent()
    return np.array([extent.width, extent.height]) * 72.0 / ax.figure.dpi


def find_ground(ax):
    """Return the colour behind an axes, and whether it is light."""
    from matplotlib.colors import to_rgb

    figures = ax.figure, ax.figure.canvas.figure  # of a subfigure, the whole one
    grounds = [part.get_facecolor() for part in (ax.patch, *(f.patch for f in figures))]
    ground = to_rgb(next((color for color in grounds if color[3] > 0.0), "white"))
    return ground, bool(are_light(ground))


def are_light(colors):
    """Tell whether dark marks are seen better on colours than light ones."""
    return np.asarray(colors)[..., :3] @ [0.299, 0.587, 0.114] > 0.5


def ink(ax):
    """Return a neutral colour that stands out on the ground of an axes."""
    return INKS[find_ground(ax)[1]]


def sign_colors(ax):
    """Return colours for positive and negative that stand out on an axes."""
    return SIGNS[find_ground(ax)[1]]


def palette(ax):
    """Return the colours of curves, from the one that stands out most on an axes."""
    return [*dict.fromkeys([*sign_colors(ax), *COLORS]), ink(ax)]


def fit_labels(n_labels, length):
    """Font size in points, and how many labels to step, to fit into ``length``."""
    pitch = 0.75 * length / n_labels  # space between labels, and what a layout takes
    step = max(1, int(np.ceil(SMALLEST_FONT / pitch)))
    decade = 10 ** int(np.log10(step))  # steps that are easy to count on from
    step = next(n * decade for n in (1, 2, 5, 10) if n * decade >= step)
    return float(np.clip(pitch * step, SMALLEST_FONT, LARGEST_FONT)), step


def label_ticks(axis, names):
    """Label the ticks of an axis; those of the x axis upright where they are long.

    Those of the y axis leave two thirds of the figure to the axes, if legible.
    """
    is_x = axis.axis_name == "x"
    places = max(len(names), abs(np.diff(axis.get_view_interval())[0]))
    font, step = fit_labels(places, _length(axis))
    labels = [as_label(name) for name in names[::step]]
    longest = max(width_of(label) for label in labels)
    is_long = is_x and 0.8 * font * longest > step * _length(axis) / places
    if not is_x:
        room = 24.0 * axis.figure.bbox.width / axis.figure.dpi
        font = max(min(font, room / (_LETTER * longest)), SMALLEST_FONT)
    axis.set_ticks(
        range(0, len(names), step),
        labels=labels,
        fontsize=font,
        rotation=90 if is_long else 0,
    )


def write_label(axis, text):
    """Label an axis in letters that make no line longer than it, if legible."""
    longest = max(map(width_of, text.splitlines()), default=0)
    font = _fit_font(axis, max(longest, 1), "axes.labelsize")
    axis.set_label_text(text, fontsize=font)


def limit_ticks(ax):
    """Put a few numbers on the x axis, the smaller the narrower it is."""
    n_ticks = int(np.clip(round(measure(ax)[0] / 45.0), 2, 4))
    ax.xaxis.get_major_locator().set_params(nbins=n_ticks)
    font = _fit_font(ax.xaxis, 6 * (n_ticks + 1), "xtick.labelsize")
    ax.tick_params(axis="x", labelsize=font)


def as_label(name, width=24):
    """Shorten a name, and keep matplotlib from reading formulas."""
    return shorten(name, width).replace("$", r"\$")


def as_entry(name, width):
    """Shorten a name for a legend, which leaves out those that start with "_"."""
    label = as_label(name, width)
    return f" {label}" if label.startswith("_") else label


def points(font_size):
    """Return a font size, like "small", in points."""
    from matplotlib.font_manager import FontProperties

    return FontProperties(size=font_size).get_size_in_points()


def arrange_legend(ax, labels, most_columns):
    """Columns of a legend in small letters that fit on an axes, and its height."""
    font = points("small")
    widths = [font * (4.2 + _LETTER * width_of(label)) for label in labels]
    for n_columns in range(min(most_columns, len(labels)), 0, -1):
        n_rows = -(-len(labels) // n_columns)
        starts = range(0, len(labels), n_rows)
        if sum(max(widths[i : i + n_rows]) for i in starts) <= measure(ax)[0]:
            break
    return n_columns, 1.7 * font * n_rows


def write_note(ax, text):
    """Write lines above an axes, in small letters, and none wider than it."""
    width = max(20, int(measure(ax)[0] / (_LETTER * points("small"))))
    lines = [part for line in text.splitlines() for part in wrap(line, width)]
    ax.set_title("\n".join(lines), fontsize="small")


def _fit_font(axis, n_letters, largest):
    """Return a size of letters, of which so many fit beside an axis, in points."""
    font = _length(axis) / (_LETTER * n_letters)
    return min(max(font, SMALLEST_FONT), points(import_pyplot().rcParams[largest]))


def _length(axis):
    """Length of an axis in points."""
    return measure(axis.axes)[0 if axis.axis_name == "x" else 1]
