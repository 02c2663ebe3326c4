"""Draws the series as SVG, with Matplotlib."""
import statistics

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "multiprocessing"  # the same picture from the same figures
import matplotlib.pyplot as plt  # noqa: E402  (after the choice of what draws)

from rows import OURS  # noqa: E402

BOUND = "one core"  # who has it in the name is no contender, but the bound of what can be reached
PYTHON = ["Python", "joblib", "pebble", "mpi4py"]


def style(contender):
    """This library stands out, Python's are dashed, and bounds are grey."""
    if contender == OURS:
        return {"color": "black", "linewidth": 2.5, "zorder": 3}
    if BOUND in contender:
        return {"color": "grey", "linestyle": ":" if contender == BOUND else "-.", "marker": ""}
    return {"linestyle": "--"} if contender in PYTHON else {}


def plain(value, _position=None):
    """A number as one says it: 1,000 and 10 million, in place of powers of ten."""
    for size, name in [(1e9, " billion"), (1e6, " million")]:
        if value >= size:
            return f"{value / size:g}{name}"
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def as_size(value):
    """A number of bytes as one says it: 4 KiB."""
    for size, name in [(2**20, "MiB"), (2**10, "KiB")]:
        if value >= size:
            return f"{value / size:g} {name}"
    return f"{value:g} B"


def label_axes(axes, plot, xs):
    axes.set(xlabel=plot.x, ylabel=plot.y, xscale="log", yscale="log")
    axes.yaxis.set_major_formatter(plain)
    axes.xaxis.set_major_formatter(plain)
    if plot.x.startswith("size of"):
        axes.set_xticks(xs, [as_size(x) for x in xs], fontsize="small")
        axes.minorticks_off()
    axes.set_title(plot.title, loc="left", fontweight="bold", pad=18)
    axes.text(0, 1.02, f"{plot.better} is better", transform=axes.transAxes, color="grey",
              fontsize="small")
    axes.grid(True, which="major", alpha=0.3)


def draw(plot, contenders, path):
    """One plot: both axes logarithmic, so that a cost in proportion is a straight line."""
    figure, axes = plt.subplots(figsize=(8, 4.2))
    for contender, points in sorted(contenders.items()):
        xs = sorted(points)
        ys = [plot.y_of(x, statistics.median(points[x])) for x in xs]
        axes.plot(xs, ys, **{"marker": "o", "markersize": 3, "label": contender,
                             **style(contender)})
    label_axes(axes, plot, sorted({x for points in contenders.values() for x in points}))
    # Beside the lines and not on them; in the order in which the lines end.
    handles, labels = axes.get_legend_handles_labels()
    by_end = sorted(zip(handles, labels), key=lambda pair: -pair[0].get_ydata()[-1])
    axes.legend(*zip(*by_end), frameon=False, fontsize="small", loc="center left",
                bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw_all(plots, series, folder):
    for plot in plots:
        if plot.key in series:
            draw(plot, series[plot.key], folder / plot.file_name())
