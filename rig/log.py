# SPDX-License-Identifier: GPL-2.0-only
"""Events: what the rig is doing. Reporters subscribe to them; all other code never prints.

with step("Building v6.12 for arm64") as s:
    s.progress(120, 900, "objects")
    s.note("reused 3 objects")
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from rig import printable

Kind = Literal["begin", "progress", "note", "command", "end", "fail"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    kind: Kind
    step: int
    """Number of the step, unique in the process."""
    parent: int
    """The step that this one is part of; 0 for none."""
    title: str
    text: str = ""
    done: float = 0
    total: float = 0
    """0 if the total is not known."""
    seconds: float = 0
    """Since the step began."""


Subscriber = Callable[[Event], None]

_subscribers: list[Subscriber] = []
_numbers = count(1)
_clock = time.monotonic
_current: ContextVar[int] = ContextVar("rig_step", default=0)


def now() -> float:
    return _clock()


def duration(seconds: float) -> str:
    """A short text: "0.4 s", "75 s", "12 min", "1 h 05 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


@contextlib.contextmanager
def subscribed(subscriber: Subscriber) -> Iterator[None]:
    """Call `subscriber` with every event while the context lasts."""
    _subscribers.append(subscriber)
    try:
        yield
    finally:
        _subscribers.remove(subscriber)


@dataclass(slots=True)
class Step:
    """A running step; its methods may be called from any thread."""

    title: str
    number: int
    parent: int
    began: float = field(default_factory=now)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def _emit(self, kind: Kind, text: str = "", done: float = 0, total: float = 0) -> None:
        """Send an event. Its text is escaped for people; only commands and errors may have several
        lines."""
        event = Event(
            kind=kind,
            step=self.number,
            parent=self.parent,
            title=printable.line(self.title),
            text=(printable.text if kind in ("command", "fail") else printable.line)(text),
            done=done,
            total=total,
            seconds=now() - self.began,
        )
        with self._lock:
            for subscriber in tuple(_subscribers):
                subscriber(event)

    def progress(self, done: float, total: float = 0, text: str = "") -> None:
        self._emit("progress", text, done, total)

    def note(self, text: str) -> None:
        self._emit("note", text)


@contextlib.contextmanager
def step(title: str) -> Iterator[Step]:
    """A piece of work that a user may have to wait for; steps nest."""
    this = Step(title, next(_numbers), _current.get())
    token = _current.set(this.number)
    this._emit("begin")
    try:
        yield this
    except BaseException as error:
        this._emit("fail", str(error) or type(error).__name__)
        raise
    else:
        this._emit("end")
    finally:
        _current.reset(token)


def note(text: str) -> None:
    """Add a note to the step that is running."""
    Step("", _current.get(), 0).note(text)


def command(line: str) -> None:
    """Report a command that is run, as a line that can be pasted into a shell."""
    Step("", _current.get(), 0)._emit("command", line)
