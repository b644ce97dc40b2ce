# SPDX-License-Identifier: GPL-2.0-only
"""A comparison as a picture: the pair of each round, and the interval of the difference."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rig import printable
from rig.benches import benchmark
from rig.campaigns.compare import Comparison
from rig.campaigns.statistics import Difference, Line
from rig.errors import ConfigError, needs_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = (".svg", ".png")
COLOURS = {Difference.LOWER: "tab:blue", Difference.HIGHER: "tab:red"}


def check(path: Path | None) -> None:
    """Raise ConfigError for an unknown kind of picture, or if matplotlib is missing."""
    if path is None:
        return
    if path.suffix not in KINDS:
        raise ConfigError(f"{path} does not end in {' or '.join(KINDS)}")
    with needs_extra("bench"):
        import matplotlib  # noqa: F401


def draw(comparisons: Sequence[Comparison], path: Path) -> None:
    """A row for each metric that both kernels have: its pairs, and the difference in percent."""
    import matplotlib

    # The same rounds make the same file; the text of an SVG stays text, which can be searched.
    with matplotlib.rc_context({"svg.hashsalt": "rig", "svg.fonttype": "none", "font.size": 9}):
        _draw(comparisons, path)


def _draw(comparisons: Sequence[Comparison], path: Path) -> None:
    from matplotlib.figure import Figure

    rows = [(comparison, line) for comparison in comparisons for line in comparison.lines]
    figure = Figure(figsize=(8, 1 + 0.9 * max(1, len(rows))), layout="constrained")
    grid = figure.subplots(max(1, len(rows)), 2, squeeze=False, width_ratios=(3, 2))
    for (comparison, line), (pairs, interval) in zip(rows, grid, strict=False):
        _pairs(pairs, comparison, line)
        _interval(interval, line)
    if not rows:
        grid[0][0].set_title("no round counts", loc="left")
    heads = dict.fromkeys(
        f"{entry.after} against {entry.before}, {entry.machine.where}" for entry in comparisons
    )
    # matplotlib reads $…$ as a formula, and XML cannot hold control characters.
    figure.suptitle(printable.page(heads).rstrip("\n"), fontsize=10, parse_math=False)
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    figure.savefig(path, dpi=120, metadata=metadata)


def _pairs(axes: "Axes", comparison: Comparison, line: Line) -> None:
    """The rounds from left to right, before and after side by side."""
    bench = benchmark.pick(comparison.bench)
    places = range(1, len(line.before) + 1)
    for place, before, after in zip(places, line.before, line.after, strict=True):
        axes.plot((place - 0.15, place + 0.15), (before, after), color="0.6", linewidth=1)
    axes.plot([place - 0.15 for place in places], line.before, "o", color="0.35", markersize=4)
    axes.plot(
        [place + 0.15 for place in places], line.after, "o", markersize=4, color=_colour(line)
    )
    title = f"{comparison.bench}: {bench.metric(line.metric).title.strip()}"
    axes.set_title(title, loc="left", fontsize=9)
    axes.set_ylim(0, 1.2 * max(*line.before, *line.after) or 1)
    axes.set_xticks([])


def _interval(axes: "Axes", line: Line) -> None:
    """The mean difference and its interval, in percent of the value before; a line marks 0."""
    before, after = line.means
    middle, low, high = (line.percent(change) for change in (after - before, line.low, line.high))
    axes.axvline(0, color="0.6", linewidth=1)
    axes.set_yticks([])
    if middle is None or low is None or high is None:
        axes.set_title(f"{before:g} before, {after:g} after", loc="left", fontsize=9)
        return
    axes.plot((low, high), (0, 0), color=_colour(line), linewidth=2)
    axes.plot(middle, 0, "D", color=_colour(line), markersize=5)
    axes.set_title(f"{middle:+.1f} %: {line.difference}", loc="left", fontsize=9)
    widest = 1.2 * max(abs(low), abs(high), 1.0)
    axes.set_xlim(-widest, widest)


def _colour(line: Line) -> str:
    return COLOURS.get(line.difference, "black")
