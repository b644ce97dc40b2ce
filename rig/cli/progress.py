# SPDX-License-Identifier: GPL-2.0-only
"""Shows progress: live on a terminal, line by line in a pipe or a CI log.

Everything goes to stderr; stdout is for results.
"""

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console, ConsoleRenderable, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rig.log import Event, duration, subscribed

PLAIN_INTERVAL = 10.0
"""Seconds between two progress lines of a step in a log."""
RATE_WINDOW = 30.0
"""Seconds over which the rate is measured; in a long step, the second half of it. An earlier rate
says little (drivers/ compiles faster than mm/), and the rate of a moment is noise."""
BAR_WIDTH = 24
REFRESH = 5.0
"""Redraws of the running steps in a second; 0 redraws at events only."""

Clock = Callable[[], float]


def reporter(
    *, verbose: bool = False, quiet: bool = False, stream: TextIO | None = None
) -> AbstractContextManager[None]:
    """Subscribes the reporter for `stream` (default: stderr) within the context."""
    out = sys.stderr if stream is None else stream
    if quiet:
        return contextlib.nullcontext()
    if out.isatty() and not os.environ.get("CI") and os.environ.get("TERM", "dumb") != "dumb":
        # An empty value asks for nothing (no-color.org). rich 13.7 takes it for a 1.
        no_color = bool(os.environ.get("NO_COLOR"))
        console = Console(file=out, highlight=False, no_color=no_color)
        return terminal(console, verbose=verbose)
    return plain(out, verbose=verbose)


def _count(number: float) -> str:
    return f"{number:,.0f}"


@dataclass(slots=True)
class Running:
    """A step and its events, until its final lines are printed."""

    title: str
    clock: Clock
    began: float
    lines: list["Running | str"] = field(default_factory=list)
    """Its steps and notes, in the order of their events."""
    done: float = 0
    total: float = 0
    text: str = ""
    samples: deque[tuple[float, float]] = field(default_factory=deque)
    state: str = ""
    """"" while it runs, then "✓" or "✗"."""
    seconds: float = 0

    def elapsed(self) -> float:
        return self.seconds if self.state else self.clock() - self.began

    def progress(self, event: Event) -> None:
        self.done, self.total, self.text = event.done, event.total, event.text
        now = self.clock()
        self.samples.append((now, event.done))
        window = max(RATE_WINDOW, (now - self.began) / 2)
        while len(self.samples) > 2 and now - self.samples[0][0] > window:
            self.samples.popleft()

    def rate(self) -> float:
        """The recent rate per second; 0 if unknown."""
        if len(self.samples) < 2:
            return 0
        (then, before), (now, after) = self.samples[0], self.samples[-1]
        return max(0.0, (after - before) / (now - then)) if now > then else 0

    def left(self) -> float | None:
        """Seconds to the end at this rate; None if unknown."""
        rate = self.rate()
        return (self.total - self.done) / rate if rate and self.total > self.done else None

    def numbers(self) -> str:
        """ "120/900 objects, 12/s, 65 s left", as far as it is known."""
        if not self.done and not self.total:
            return self.text
        words = _count(self.done) + (f"/{_count(self.total)}" if self.total else "")
        parts = [f"{words} {self.text}".rstrip()]
        if (rate := self.rate()) >= 1:
            parts.append(f"{rate:.1f}/s" if rate < 10 else f"{_count(rate)}/s")
        left = self.left()
        if left is not None:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)


class _Terminal:
    """Shows running steps as trees that are redrawn. A tree that has ended is printed once.

    An outermost step is printed at its end, with all its lines: two architectures may run at the
    same time, and their lines must not be mixed.

    There are two locks. `_output` orders what is printed, and is taken first. `_state` protects the
    trees. It is held only briefly and never while printing: Rich's thread takes it to redraw.
    """

    def __init__(self, console: Console, *, verbose: bool, clock: Clock, refresh: float) -> None:
        self._console = console
        self._verbose = verbose
        self._clock = clock
        self._rate = refresh
        self._output = threading.RLock()
        self._state = threading.Lock()
        self._steps: dict[int, Running] = {}
        self._roots: list[Running] = []
        self._live: Live | None = None

    def __call__(self, event: Event) -> None:
        if event.kind == "progress":  # frequent, and prints nothing
            with self._state:
                if step := self._steps.get(event.step):
                    step.progress(event)
            return
        if event.kind == "command" and not self._verbose:
            return
        with self._output:
            with self._state:
                finished = self._change(event)
                busy = bool(self._roots)
            if not busy:
                self._stop()
            elif finished is not None and self._live is not None:
                self._live.refresh()  # or the ended step is drawn once more below its last line
            if finished is not None:
                self._console.print(*self._rows([finished]), sep="\n", soft_wrap=True)
            if busy:
                self._draw()

    def _change(self, event: Event) -> "Running | str | None":
        """Update the trees; return the tree or line that is now final, if there is one."""
        step = self._steps.get(event.step)
        if event.kind == "begin":
            parent = self._steps.get(event.parent)
            new = Running(event.title, self._clock, self._clock() - event.seconds)
            (parent.lines if parent else self._roots).append(new)
            self._steps[event.step] = new
        elif event.kind in ("note", "command"):
            text = f"$ {event.text}" if event.kind == "command" else event.text
            if step is None:
                return text
            step.lines.append(text)
        elif step is not None:
            step.state = "✓" if event.kind == "end" else "✗"
            step.seconds = event.seconds
            del self._steps[event.step]
            if step in self._roots:
                self._roots = [root for root in self._roots if root is not step]
                return step
        return None

    def _draw(self) -> None:
        if self._live is not None:
            if not self._rate:
                self._live.refresh()
        else:
            # Do not redirect stdout: results are printed there.
            self._live = Live(
                console=self._console,
                get_renderable=self._render,
                refresh_per_second=self._rate or 1,
                auto_refresh=self._rate > 0,
                transient=True,
                redirect_stdout=False,
                vertical_overflow="crop",
            )
            self._live.start()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def close(self) -> None:
        """Restore the terminal, and print the steps that have not ended."""
        with self._output:
            self._stop()
            with self._state:
                unfinished, self._roots, self._steps = self._roots, [], {}
            if unfinished:
                self._console.print(*self._rows(unfinished), sep="\n", soft_wrap=True)

    def _render(self) -> ConsoleRenderable:
        with self._state:
            rows = [row for root in self._roots for row in _flat(root)]
            # Running steps matter most: older lines make room for them.
            spare = self._console.height - 2 - sum(_runs(row) for row, _ in rows)
            old = [row for row, _ in rows if not _runs(row)]
            hidden = {id(row) for row in old[: max(0, len(old) - max(0, spare))]}
            return Group(*(self._row(row, depth) for row, depth in rows if id(row) not in hidden))

    def _rows(self, lines: "list[Running | str] | list[Running]") -> list[ConsoleRenderable]:
        return [self._row(row, depth) for line in lines for row, depth in _flat(line)]

    def _row(self, line: "Running | str", depth: int) -> ConsoleRenderable:
        indent = "  " * depth
        if isinstance(line, str):
            return Text(f"{indent}{line}", style="dim")
        if line.state:
            row = Text(indent)
            row.append(f"{line.state} ", style="green" if line.state == "✓" else "bold red")
            row.append(line.title).append(f"  {duration(line.elapsed())}", style="dim")
            return row
        table = Table.grid(padding=(0, 1))
        cells: list[ConsoleRenderable] = [Text(f"{indent}· {line.title}", style="bold")]
        if line.total:
            done = min(line.done, line.total)
            cells.append(ProgressBar(total=line.total, completed=done, width=BAR_WIDTH))
        cells.append(Text(line.numbers()))
        cells.append(Text(duration(line.elapsed()), style="dim"))
        for number, _ in enumerate(cells, 1):
            table.add_column(no_wrap=True, overflow="ellipsis" if number > 1 else "fold")
        table.add_row(*cells)
        return table


def _flat(line: Running | str, depth: int = 0) -> Iterator[tuple[Running | str, int]]:
    yield line, depth
    if isinstance(line, Running):
        for inner in line.lines:
            yield from _flat(inner, depth + 1)


def _runs(line: Running | str) -> bool:
    return isinstance(line, Running) and not line.state


@contextlib.contextmanager
def terminal(
    console: Console,
    *,
    verbose: bool = False,
    clock: Clock = time.monotonic,
    refresh: float = REFRESH,
) -> Iterator[None]:
    """Live progress on a terminal. A step that ended stays as one line, with its notes below it."""
    display = _Terminal(console, verbose=verbose, clock=clock, refresh=refresh)
    try:
        with subscribed(display):
            yield
    finally:
        display.close()


class _Plain:
    """Prints a line when a step begins and when it ends, and progress lines in between.

    Every line names its step, because lines of two architectures may be mixed.
    """

    def __init__(self, stream: TextIO, *, verbose: bool, clock: Clock) -> None:
        self._stream = stream
        self._verbose = verbose
        self._clock = clock
        self._lock = threading.Lock()
        self._steps: dict[int, Running] = {}
        self._last_lines: dict[int, float] = {}

    def __call__(self, event: Event) -> None:
        with self._lock:
            line = self._line(event)
            if line is not None:
                # The reader of the log may have closed it. The work goes on.
                with contextlib.suppress(OSError, ValueError):
                    self._stream.write(f"{line}\n")
                    self._stream.flush()

    def _line(self, event: Event) -> str | None:
        if event.kind == "begin":
            now = self._clock()
            parent = self._steps.get(event.parent)
            title = f"{parent.title} > {event.title}" if parent else event.title
            self._steps[event.step] = Running(title, self._clock, now)
            self._last_lines[event.step] = now
            return f"{title} ..."
        step = self._steps.get(event.step)
        head = f"{step.title}: " if step else ""
        match event.kind:
            case "note":
                return f"{head}{event.text}"
            case "command":
                return f"{head}$ {event.text}" if self._verbose else None
            case "progress" if step:
                step.progress(event)
                if self._clock() - self._last_lines[event.step] < PLAIN_INTERVAL:
                    return None
                self._last_lines[event.step] = self._clock()
                return f"{head}{step.numbers()}, {duration(event.seconds)} so far"
            case "end" | "fail" if step:
                del self._steps[event.step], self._last_lines[event.step]
                if event.kind == "end":
                    return f"{head}done, {duration(event.seconds)}"
                reason = event.text.partition("\n")[0]
                return f"{head}failed after {duration(event.seconds)}: {reason}"
        return None


@contextlib.contextmanager
def plain(
    stream: TextIO, *, verbose: bool = False, clock: Clock = time.monotonic
) -> Iterator[None]:
    """Progress as lines, for a log."""
    with subscribed(_Plain(stream, verbose=verbose, clock=clock)):
        yield
