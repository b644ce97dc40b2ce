# SPDX-License-Identifier: GPL-2.0-only
"""Charts of a history as inline SVG: a bar for each night, and values as a curve.

Colours are classes of style.css, because the page's policy allows no style attributes. Each night
has a tooltip; a night that did not pass is a link to its run.
"""

import html
import math
from collections.abc import Callable, Iterator, Sequence

from rig.history.changes import Cell, Point
from rig.report.evidence import Marked
from rig.report.history import number

STEP, HEIGHT = 8, 28
"""Width of a night, and height of the bars, in pixels."""
CURVE = 96
"""Height of a curve."""
CLASSES = {"INCONCLUSIVE": "inconclusive", "SKIP": "skip", "BROKEN": "broken"}
Link = Callable[[str], str]
"""Path of a run in the store -> URL of its page, or nothing."""


def bars(
    cells: Sequence[Cell], nights: Sequence[str], label: str, link: Link, *, height: int = HEIGHT
) -> Marked:
    """A bar for each night in which the line was run; the red part is the share that failed."""
    places = {night: place for place, night in enumerate(nights)}
    shown = [cell for cell in cells if cell.night in places]
    parts = "".join(_bar(cell, places[cell.night] * STEP, height, link) for cell in shown)
    return _svg(parts, len(nights) * STEP, height, label)


def _bar(cell: Cell, x: int, height: int, link: Link) -> str:
    width = STEP - 1
    counts = f"{cell.passed} of {cell.runs} passed" if cell.runs else cell.other
    reason = f": {cell.reason}" if cell.reason else ""
    title = f"<title>{_safe(f'{cell.night}: {counts}{reason}')}</title>"
    if cell.failed:
        # One failure of many runs is still to be seen.
        part = max(height * cell.failed // cell.runs, height // 4)
        good = f'<rect class="pass" x="{x}" y="0" width="{width}" height="{height - part}"/>'
        bad = f'<rect class="fail" x="{x}" y="{height - part}" width="{width}" height="{part}"/>'
        body = (good if cell.passed else "") + bad
    else:
        kind = "pass" if cell.passed else CLASSES.get(cell.other, "skip")
        # Lower than a failure: not everybody sees red and green.
        top = height // 3 if cell.passed else height // 2
        body = f'<rect class="{kind}" x="{x}" y="{top}" width="{width}" height="{height - top}"/>'
    url = link(cell.path) if cell.failed or not cell.passed else ""
    if url:
        return f'<a href="{_safe(url)}">{title}{body}</a>'
    return f"<g>{title}{body}</g>"


def curve(
    points: Sequence[Point], nights: Sequence[str], label: str, *, floor: float = 0
) -> Marked:
    """The values of the nights, on a logarithmic scale if there is a floor, which is a line."""
    places = {night: place for place, night in enumerate(nights)}
    shown = [(places[point.night], point) for point in points if point.night in places]
    values = [point.value for _, point in shown if math.isfinite(point.value)]
    if not values:
        return Marked("")
    scale: Callable[[float], float] = (lambda v: math.log(max(v, 1e-3))) if floor else float
    low, high = scale(min(values)), scale(max(values))
    if floor:
        low, high = min(low, scale(floor * 0.9)), max(high, scale(floor * 1.1))
    spread = (high - low) or abs(high) or 1.0
    room = CURVE - 12

    def height(value: float) -> float:
        return round(CURVE - 6 - room * (scale(value) - low) / spread, 1)

    parts = []
    if floor:
        y = height(floor)
        parts.append(
            f'<line class="floor" x1="0" y1="{y}" x2="{len(nights) * STEP}" y2="{y}">'
            "<title>its floor</title></line>"
        )
    coordinates = [(place * STEP + STEP // 2, height(point.value)) for place, point in shown
                   if math.isfinite(point.value)]  # fmt: skip
    line = " ".join(f"{x},{y}" for x, y in coordinates)
    parts.append(f'<polyline class="curve" points="{line}"/>')
    parts += _dots(shown, height)
    return _svg("".join(parts), len(nights) * STEP, CURVE, label)


def _dots(shown: Sequence[tuple[int, Point]], height: Callable[[float], float]) -> Iterator[str]:
    for place, point in shown:
        if math.isfinite(point.value):
            x, y = place * STEP + STEP // 2, height(point.value)
            title = f"{point.night}: {number(point.value)}"
            yield f'<circle cx="{x}" cy="{y}" r="2.5"><title>{_safe(title)}</title></circle>'


def _svg(parts: str, width: int, height: int, label: str) -> Marked:
    return Marked(
        f'<svg class="chart" role="img" aria-label="{_safe(label)}" width="{width}"'
        f' height="{height}" viewBox="0 0 {width} {height}">{parts}</svg>'
    )


def _safe(text: str) -> str:
    return html.escape(text[:300])
