"""Draws the series as SVG, with Matplotlib."""
import statistics

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "multiprocessing"  # the same picture from the same figures
import matplotlib.pyplot as plt  # noqa: E402  (after the choice of what draws)


def draw(plot, contenders, path):
    """One plot: both axes logarithmic, so that a cost in proportion is a straight line."""
    figure, axes = plt.subplots(figsize=(6.4, 3.8))
    for contender, points in sorted(contenders.items()):
        xs = sorted(points)
        ys = [statistics.median(points[x]) for x in xs]
        ys = [x / y for x, y in zip(xs, ys)] if plot.per_x else [y * plot.scale for y in ys]
        axes.plot(xs, ys, marker="o", markersize=3, label=contender)
    axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y, xscale="log", yscale="log")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw_all(plots, series, folder):
    for plot in plots:
        if plot.key in series:
            draw(plot, series[plot.key], folder / plot.file_name())
