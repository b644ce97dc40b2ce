# SPDX-License-Identifier: GPL-2.0-only
import io
import re
import threading
from collections.abc import Callable

import pytest
from rich.console import Console

from rig import log
from rig.cli import progress


class Clock:
    """A clock that the tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy host steps would take 0.1 s where the tests expect 0.0 s."""
    monkeypatch.setattr(log, "_clock", Clock())


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal() -> tuple[io.StringIO, Console]:
    """A terminal without colours and cursor movements: only the final lines are written."""
    out = io.StringIO()
    return out, Console(file=out, width=100, force_terminal=False, highlight=False)


def broken_step(title: str) -> None:
    with pytest.raises(RuntimeError), log.step(title):
        raise RuntimeError("no kernel\nand more")


def test_plain_names_the_step_in_every_line() -> None:
    out = io.StringIO()
    with progress.plain(out):
        with log.step("Building for arm64"), log.step("Compiling"):
            log.note("reused 3 objects")
            log.command("make -j2")
        log.note("all there")
    assert out.getvalue().splitlines() == [
        "Building for arm64 ...",
        "Building for arm64 > Compiling ...",
        "Building for arm64 > Compiling: reused 3 objects",
        "Building for arm64 > Compiling: done, 0.0 s",
        "Building for arm64: done, 0.0 s",
        "all there",
    ]


def test_plain_shows_commands_when_verbose() -> None:
    out = io.StringIO()
    with progress.plain(out, verbose=True):
        log.command("make -j2")
    assert out.getvalue() == "$ make -j2\n"


def test_plain_shows_why_a_step_failed_in_one_line() -> None:
    out = io.StringIO()
    with progress.plain(out):
        broken_step("Booting")
    assert out.getvalue().splitlines()[1:] == ["Booting: failed after 0.0 s: no kernel"]


def test_plain_progress_is_at_most_one_line_in_ten_seconds() -> None:
    out, clock = io.StringIO(), Clock()
    with progress.plain(out, clock=clock), log.step("Compiling") as step:
        for second in range(25):
            clock.now = 1000 + second
            step.progress(10 * second, 300, "objects")
    lines = out.getvalue().splitlines()[1:-1]
    assert [line.partition(", 0.0 s so far")[0] for line in lines] == [
        "Compiling: 100/300 objects, 10/s, 20 s left",
        "Compiling: 200/300 objects, 10/s, 10 s left",
    ]


def test_progress_without_an_end_has_no_time_left() -> None:
    out, clock = io.StringIO(), Clock()
    with progress.plain(out, clock=clock), log.step("Fetching") as step:
        step.progress(0)
        clock.now += 20
        step.progress(50, text="files")
    assert "Fetching: 50 files, 2.5/s, 0.0 s so far\n" in out.getvalue()


def paced(*paces: tuple[int, float]) -> progress.Running:
    """A step with a total of 1000 that ran ten seconds `times` times, at each `pace` per second."""
    clock = Clock()
    step = progress.Running("Compiling", clock, clock.now)
    done = 0.0
    step.progress(log.Event(kind="progress", step=1, parent=0, title="", total=1000))
    for times, pace in paces:
        for _ in range(times):
            clock.now += 10
            done += 10 * pace
            event = log.Event(kind="progress", step=1, parent=0, title="", done=done, total=1000)
            step.progress(event)
    return step


def test_the_rate_is_that_of_the_last_seconds() -> None:
    step = paced((3, 10), (3, 1))
    assert step.rate() == pytest.approx(1)
    assert step.left() == pytest.approx(670)


def test_the_rate_of_a_long_step_is_that_of_its_later_half() -> None:
    assert paced((10, 5), (8, 1), (2, 6)).rate() == pytest.approx(2)
    assert paced((1, 10), (1, 20), (1, 0)).rate() == pytest.approx(10)


def test_a_rate_below_one_is_not_shown() -> None:
    assert paced((10, 0.5)).numbers() == "50/1,000, 32 min left"


def test_plain_does_not_stop_the_work_when_nobody_reads() -> None:
    out = io.StringIO()
    out.close()
    with progress.plain(out), log.step("Building"):
        log.note("still here")


def test_terminal_leaves_a_line_for_each_step_and_notes_below_it() -> None:
    out, console = on_terminal()
    with progress.terminal(console):
        with log.step("Building for arm64"):
            with log.step("Compiling") as step:
                step.progress(3, 9, "objects")
                log.note("reused 3 objects")
                log.command("make -j2")
            with log.step("Linking"):
                pass
        broken_step("Booting")
        log.note("by itself")
    assert [line.rstrip() for line in out.getvalue().splitlines()] == [
        "✓ Building for arm64  0.0 s",
        "  ✓ Compiling  0.0 s",
        "    reused 3 objects",
        "  ✓ Linking  0.0 s",
        "✗ Booting  0.0 s",
        "by itself",
    ]


def test_terminal_keeps_two_architectures_apart() -> None:
    out, console = on_terminal()
    inside = threading.Barrier(2, timeout=10)

    def work(name: str) -> None:
        with log.step(f"Booting {name}"):
            for number in range(3):
                inside.wait()
                log.note(f"{name} {number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in ("x", "y")]
    with progress.terminal(console):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    text = out.getvalue()
    for name in ("x", "y"):
        notes = "".join(f"  {name} {number}\n" for number in range(3))
        assert f"✓ Booting {name}  0.0 s\n{notes}" in text


def test_terminal_draws_the_bar_and_the_numbers_while_it_runs() -> None:
    out, clock = Tty(), Clock()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    with progress.terminal(console, clock=clock, refresh=0):
        with log.step("Compiling") as step:
            step.progress(0, 300, "objects")
            clock.now += 10
            step.progress(100, 300, "objects")
            log.note("draws")
    assert "━" in out.getvalue()
    assert "100/300 objects, 10/s, 20 s left 10 s" in out.getvalue()


def test_terminal_shows_running_steps_when_there_is_no_room_for_all_lines() -> None:
    out = Tty()
    console = Console(file=out, width=60, height=10, force_terminal=True, color_system=None)
    with progress.terminal(console, refresh=0):
        with log.step("Building"):
            for number in range(50):
                log.note(f"note {number}.")
            with log.step("Linking"):
                pass
            last = out.getvalue().rpartition("Linking")[0].rpartition("· Building")[2]
    assert "note 49." in last
    assert "note 3." not in last
    assert all(f"note {number}." in out.getvalue() for number in range(50))


def test_terminal_restores_the_cursor_after_an_error() -> None:
    out = Tty()
    console = Console(file=out, width=60, force_terminal=True, color_system=None)
    with pytest.raises(KeyboardInterrupt):
        with progress.terminal(console), log.step("Building"):
            raise KeyboardInterrupt
    hide, show = "\x1b[?25l", "\x1b[?25h"
    assert out.getvalue().rindex(show) > out.getvalue().rindex(hide)
    assert "✗ Building" in out.getvalue()


def test_terminal_shows_unfinished_steps_at_its_end() -> None:
    out = Tty()
    console = Console(file=out, width=60, force_terminal=True, color_system=None)
    unfinished = log.step("Draining the console")
    with progress.terminal(console, refresh=0, clock=Clock()):
        unfinished.__enter__()
    assert out.getvalue().rstrip().endswith("· Draining the console  0.0 s")
    unfinished.__exit__(None, None, None)
    assert "✓" not in out.getvalue()


@pytest.mark.parametrize(
    ("environment", "live"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "CI": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_reporter_is_live_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], live: bool
) -> None:
    monkeypatch.delenv("CI", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out = Tty()
    with progress.reporter(stream=out), log.step("Building"):
        pass
    assert ("✓ " in out.getvalue(), "Building ..." in out.getvalue()) == (live, not live)


def test_reporter_has_no_colours_when_asked_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = []
    for no_color in ("", "1"):
        monkeypatch.setenv("NO_COLOR", no_color)
        out = Tty()
        with progress.reporter(stream=out), log.step("Building"):
            pass
        coloured.append("\x1b[32m" in out.getvalue())
    assert coloured == [True, False]


def test_reporter_prints_lines_to_a_pipe_and_nothing_when_quiet() -> None:
    out = io.StringIO()
    with progress.reporter(stream=out), log.step("Building"):
        pass
    assert out.getvalue().splitlines() == ["Building ...", "Building: done, 0.0 s"]
    out = io.StringIO()
    with progress.reporter(stream=out, quiet=True), log.step("Building"):
        pass
    assert out.getvalue() == ""


@pytest.mark.parametrize("verbose", [False, True])
def test_text_of_a_stranger_is_not_interpreted_as_markup_or_control_codes(
    evil: str, harmless: Callable[..., None], verbose: bool
) -> None:
    def work() -> None:
        log.note(evil)
        with pytest.raises(ValueError), log.step("[/] [bold red]") as outer:
            with log.step(evil) as step:
                step.progress(1, 2, evil)
                step.note(evil)
                log.command(evil)
            outer.progress(1, 2, evil)
            raise ValueError(evil)

    out, console = on_terminal()
    with progress.terminal(console, verbose=verbose):
        work()
    assert "✗ [/] [bold red]  " in out.getvalue()
    harmless(out.getvalue(), lines=not verbose)
    plain = io.StringIO()
    with progress.plain(plain, verbose=verbose):
        work()
    harmless(plain.getvalue(), lines=not verbose)
    live = Tty()
    with progress.terminal(Console(file=live, width=500, color_system=None, force_terminal=True)):
        work()
    harmless(re.sub(r"\x1b\[[0-9?]*[A-Zhl]|\r", "", live.getvalue()))


def test_stdout_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.reporter(), log.step("Building"):
        pass
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Building" in captured.err
