# SPDX-License-Identifier: GPL-2.0-only
import threading
from collections.abc import Callable
from typing import get_args

import pytest

from rig import log
from rig.log import Event


def test_a_step_begins_and_ends(events: list[Event]) -> None:
    with log.step("Building"):
        pass
    assert [(e.kind, e.title, e.parent) for e in events] == [
        ("begin", "Building", 0),
        ("end", "Building", 0),
    ]
    assert events[0].step == events[1].step > 0
    assert events[1].seconds >= events[0].seconds >= 0


def test_steps_nest(events: list[Event]) -> None:
    with log.step("outer") as outer:
        with log.step("inner") as inner:
            log.note("in the inner one")
        log.note("in the outer one")
    begin = next(e for e in events if e.kind == "begin" and e.title == "inner")
    assert (begin.step, begin.parent) == (inner.number, outer.number)
    notes = [(e.text, e.step) for e in events if e.kind == "note"]
    assert notes == [("in the inner one", inner.number), ("in the outer one", outer.number)]


def test_a_step_that_raises_fails_with_the_reason(events: list[Event]) -> None:
    with pytest.raises(ValueError, match="no room"), log.step("Copying"):
        raise ValueError("no room")
    assert (events[-1].kind, events[-1].text) == ("fail", "no room")
    with pytest.raises(KeyboardInterrupt), log.step("Copying"):
        raise KeyboardInterrupt
    assert (events[-1].kind, events[-1].text) == ("fail", "KeyboardInterrupt")
    log.note("after it")
    assert events[-1].step == 0, "a failed step must not stay the current one"


def test_progress_and_commands(events: list[Event]) -> None:
    with log.step("Compiling") as step:
        step.progress(3, 9, "objects")
        log.command("make -j2")
    kinds = {e.kind: e for e in events}
    progress, command = kinds["progress"], kinds["command"]
    assert (progress.done, progress.total, progress.text) == (3, 9, "objects")
    assert (command.text, command.step) == ("make -j2", step.number)


def test_nothing_is_heard_after_the_subscription_ends() -> None:
    heard: list[Event] = []
    with log.subscribed(heard.append):
        log.note("one")
    log.note("two")
    assert [e.text for e in heard] == ["one"]


def test_two_threads_do_not_nest_in_each_other(events: list[Event]) -> None:
    inside = threading.Barrier(2, timeout=10)

    def work(name: str) -> None:
        with log.step(name):
            inside.wait()  # both steps run now
            with log.step(f"{name}/part"):
                pass

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    begun = {e.title: e for e in events if e.kind == "begin"}
    assert begun["a"].parent == begun["b"].parent == 0
    assert begun["a/part"].parent == begun["a"].step
    assert begun["b/part"].parent == begun["b"].step


def test_no_event_holds_what_a_terminal_obeys(
    events: list[Event], evil: str, harmless: Callable[..., None]
) -> None:
    with pytest.raises(ValueError), log.step(evil) as step:
        step.progress(1, 2, evil)
        step.note(evil)
        log.note(evil)
        log.command(evil)
        raise ValueError(evil)
    assert {event.kind for event in events} == set(get_args(log.Kind)) - {"end"}
    for event in events:
        for text in filter(None, (event.title, event.text)):
            harmless(text, lines=False)
    several = {event.kind for event in events if "\n" in event.title + event.text}
    assert several == {"command", "fail"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (75, "75 s"),
        (125, "2 min"),
        (3900, "1 h 05 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert log.duration(seconds) == text
