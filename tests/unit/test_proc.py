# SPDX-License-Identifier: GPL-2.0-only
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rig import proc
from rig.errors import DiskFull, InfraError
from rig.log import Event
from rig.proc import CommandFailed, DeadlineExceeded


def test_what_a_command_says_and_how_it_ends() -> None:
    done = proc.run(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    assert (done.status, done.stdout, done.stderr) == (3, "out\n", "err\n")
    assert done.argv[0] == "sh"
    assert 0 < done.seconds < 60


def test_a_signal_is_a_negative_status() -> None:
    assert proc.run(["sh", "-c", "kill -TERM $$"], check=False).status == -signal.SIGTERM


def test_a_failure_is_raised_with_its_evidence_and_a_line_to_paste(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="sh ended with status 4") as raised:
        proc.run(["sh", "-c", "echo 'no such thing' >&2; exit 4"], cwd=tmp_path, env={"A": "b c"})
    assert raised.value.detail == "no such thing"
    assert raised.value.done.status == 4
    line = f"cd {tmp_path} && A='b c' sh -c 'echo '\"'\"'no such thing'\"'\"' >&2; exit 4'"
    assert raised.value.hint == f"run it by hand: {line}"


def test_a_failure_that_says_nothing_on_stderr_has_its_output_as_evidence() -> None:
    with pytest.raises(CommandFailed) as raised:
        proc.run(["sh", "-c", "echo '1 test failed'; exit 1"])
    assert raised.value.detail == "1 test failed"


@pytest.mark.parametrize("where", [">&2", ""])
def test_a_full_disk_is_said_as_such(where: str) -> None:
    with pytest.raises(DiskFull, match="the disk is full: sh") as raised:
        proc.run(["sh", "-c", f"echo 'cp: x: No space left on device' {where}; exit 1"])
    assert "cp: x" in raised.value.detail
    assert "free some space" in raised.value.hint


def test_only_the_end_of_long_evidence_is_kept() -> None:
    with pytest.raises(CommandFailed) as raised:
        proc.run(["sh", "-c", "seq 10000 >&2; exit 1"])
    assert raised.value.detail.endswith("9999\n10000")
    assert len(raised.value.detail) <= 2000


@pytest.mark.parametrize("on_line", [None, lambda line: None])
@pytest.mark.parametrize("endless", ["exec yes", "exec yes >&2", "exec cat /dev/zero"])
def test_a_command_that_has_no_end_of_things_to_say_is_stopped(
    endless: str, on_line: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proc, "OUTPUT_MAX", 1 << 20)
    with pytest.raises(proc.TooMuchOutput, match="printed more than 1 MiB"):
        proc.run(["sh", "-c", endless], on_line=on_line, deadline=20)


def test_a_line_that_is_too_long_comes_in_parts() -> None:
    lines: list[str] = []
    proc.run(["sh", "-c", "head -c 100000 /dev/zero; echo; echo end"], on_line=lines.append)
    assert [len(line) for line in lines] == [proc.LINE_MAX, 100000 - proc.LINE_MAX, 3]


def test_what_is_written_and_what_is_said_may_be_long() -> None:
    mail = bytes(range(256)) * 20000
    done = proc.run(["sh", "-c", "tee /dev/stderr"], stdin=mail, exact=True, deadline=60)
    assert done.stdout.encode("utf-8", "surrogateescape") == mail
    assert proc.run(["true"], stdin=mail).stdout == "", "nobody reads it"
    assert proc.run(["cat"], stdin=b"").stdout == ""


def test_a_missing_program_is_the_hosts_trouble_and_the_doctors_business() -> None:
    with pytest.raises(InfraError, match="no-such-program is not installed") as raised:
        proc.run(["no-such-program", "--version"])
    assert "rig doctor" in raised.value.hint


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="gone"):
        proc.run(["true"], cwd=tmp_path / "gone")


def test_stdin_is_closed_unless_it_is_given() -> None:
    ours, (reader, writer) = os.dup(0), os.pipe()
    try:
        os.dup2(reader, 0)  # a terminal, at which nobody types
        assert proc.run(["cat"], deadline=50).stdout == ""
    finally:
        os.dup2(ours, 0)
        for number in (ours, reader, writer):
            os.close(number)
    assert proc.run(["cat"], stdin=b"a mail", deadline=100).stdout == "a mail"


def test_stdin_and_a_listener_exclude_each_other() -> None:
    with pytest.raises(AssertionError):
        proc.run(["cat"], stdin=b"", on_line=lambda line: None)


def test_a_command_that_does_not_read_its_stdin_is_no_trouble() -> None:
    assert proc.run(["true"], stdin=b"x" * 1_000_000).status == 0


def test_the_environment_is_the_users_with_a_known_locale_and_what_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEPT", "yes")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    done = proc.run(["sh", "-c", 'echo "$KEPT $LC_ALL $NEW"'], env={"NEW": "too"})
    assert done.stdout == "yes C.UTF-8 too\n"


def test_output_that_is_no_text_is_no_trouble() -> None:
    assert proc.run(["printf", r"a\377b"]).stdout == "a\N{REPLACEMENT CHARACTER}b"


def test_a_line_is_handed_over_before_the_command_ends(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    lines: list[str] = []

    def answer(line: str) -> None:
        lines.append(line)
        if line == "one":  # the command waits for this answer
            os.write(os.open(fifo, os.O_RDWR | os.O_NONBLOCK), b"two\n")

    body = f"echo one; read answer < {fifo}; echo $answer >&2; printf 'three'"
    done = proc.run(["sh", "-c", body], on_line=answer, deadline=100)
    assert lines == ["one", "two", "three"]
    assert done.stdout == "one\ntwo\nthree"


def test_a_command_is_said_as_a_line_a_shell_runs_again(
    events: list[Event], tmp_path: Path
) -> None:
    done = proc.run(["sh", "-c", 'echo "$0 $A"; pwd', "it's"], cwd=tmp_path, env={"A": "$x *"})
    (line,) = [event.text for event in events if event.kind == "command"]
    again = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert again.stdout == done.stdout == f"it's $x *\n{tmp_path}\n"


# What must not outlive what.


def test_a_deadline_ends_everything_the_command_started(
    tmp_path: Path, alive: Callable[[int], bool], eventually: Callable[[Callable[[], object]], None]
) -> None:
    pid_file = tmp_path / "pid"
    for deadline in (0.5, 5, 50):  # the longer ones for a host that is too busy to start a shell
        with pytest.raises(DeadlineExceeded, match=f"sh took more than {deadline} s") as raised:
            proc.run(
                ["sh", "-c", f"echo evidence; sleep 100 & echo $! > {pid_file}; wait"],
                deadline=deadline,
            )
        if pid_file.is_file() and pid_file.read_text().strip():
            break
    assert raised.value.detail.strip() == "evidence"
    assert raised.value.hint.startswith("run it by hand: sh -c")
    pid = int(pid_file.read_text())
    eventually(lambda: not alive(pid))


def test_a_listener_that_fails_ends_the_command(
    tmp_path: Path, alive: Callable[[int], bool], eventually: Callable[[Callable[[], object]], None]
) -> None:
    pids: list[int] = []

    def interrupted(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        proc.run(["sh", "-c", "sleep 1000 & echo $!; wait"], on_line=interrupted)
    eventually(lambda: not alive(pids[0]))


RUNS = """
import sys
from rig import proc
proc.run(["sh", "-c", "echo $$ > $0; exec sleep 1000", sys.argv[1]])
"""
LISTENS = RUNS.replace("sys.argv[1]]", "sys.argv[1]], on_line=print")
SPAWNS = """
import sys
from rig import proc
with proc.spawn(["sh", "-c", "echo $$ > $0; exec sleep 1000", sys.argv[1]]) as process:
    process.wait()
"""


@pytest.mark.parametrize(
    ("source", "number"),
    [
        (RUNS, signal.SIGKILL),
        (RUNS, signal.SIGINT),
        (RUNS, signal.SIGTERM),
        (LISTENS, signal.SIGINT),
        (SPAWNS, signal.SIGKILL),
        (SPAWNS, signal.SIGINT),
    ],
    ids=["run-KILL", "run-INT", "run-TERM", "listen-INT", "spawn-KILL", "spawn-INT"],
)
def test_a_command_dies_with_the_rig(
    source: str,
    number: signal.Signals,
    tmp_path: Path,
    script: Callable[..., Any],
    alive: Callable[[int], bool],
    eventually: Callable[[Callable[[], object]], None],
) -> None:
    pid_file = tmp_path / "pid"
    rig = script(source, pid_file)
    eventually(
        lambda: rig.poll() is not None or (pid_file.is_file() and pid_file.read_text().strip())
    )
    pid = int(pid_file.read_text())
    assert alive(pid)
    rig.send_signal(number)
    eventually(lambda: not alive(pid))
    assert rig.wait(timeout=120) != 0


def test_every_threads_commands_can_be_ended(
    tmp_path: Path, eventually: Callable[[Callable[[], object]], None]
) -> None:
    statuses: list[int] = []
    started = [tmp_path / str(n) for n in range(2)]

    def wait(pid_file: Path) -> None:
        body = f"sleep 1000 & touch {pid_file}; wait"
        statuses.append(proc.run(["sh", "-c", body], check=False, deadline=100).status)

    threads = [threading.Thread(target=wait, args=(pid_file,)) for pid_file in started]
    for thread in threads:
        thread.start()
    eventually(lambda: all(pid_file.exists() for pid_file in started))
    proc.stop_all()
    for thread in threads:
        thread.join(90)
    assert statuses == [-signal.SIGKILL] * 2
    assert proc.run(["echo", "and on"]).stdout == "and on\n"
    proc.stop_all()  # nothing is left to end


def test_a_command_that_is_just_starting_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """stop_all() comes between the start of the process and its entry in the list."""
    popen, stopper = subprocess.Popen, threading.Thread(target=proc.stop_all)

    def starts(*words: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = popen(*words, **options)
        stopper.start()
        stopper.join(0.3)
        return process

    monkeypatch.setattr(subprocess, "Popen", starts)
    assert proc.run(["sleep", "1000"], check=False, deadline=60).status == -signal.SIGKILL
    stopper.join()


def test_what_is_spawned_runs_beside_us_and_ends_with_the_context(
    alive: Callable[[int], bool], eventually: Callable[[Callable[[], object]], None]
) -> None:
    with proc.spawn(["sh", "-c", "echo up; sleep 1000 & echo $!; wait"]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        child = int(process.stdout.readline())
        assert alive(child)
        assert process.poll() is None
    assert process.returncode == -signal.SIGKILL
    eventually(lambda: not alive(child))


@pytest.mark.parametrize("end", [proc.kill, lambda process: proc.stop_all()])
def test_what_a_sandbox_holds_has_ended_too(
    alive: Callable[[int], bool], end: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    """It is in another session and PID namespace, and has memory that the kernel frees first."""
    words = "import time; much = b'x' * (300 << 20); print('up', flush=True); time.sleep(1000)"
    box = ["unshare", "--fork", "--pid", "--kill-child", *(["-r"] if os.geteuid() else [])]
    with proc.spawn([*box, "setsid", "--wait", sys.executable, "-c", words]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        family = [*of(process.pid)]
        assert family
        end(process)
        assert not [pid for pid in family if alive(pid)]


def of(pid: int) -> Iterator[int]:
    """The descendants of a process."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield int(child)
        yield from of(int(child))


def test_what_is_spawned_may_have_ended_before(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        with proc.spawn(["sh", "-c", "echo out; echo err >&2; exit 5"], stderr=log) as process:
            assert process.stdout is not None
            assert process.stdout.read() == b"out\n"
            assert process.wait() == 5
    assert (tmp_path / "log").read_text() == "err\n"


def test_the_users_terminal_is_given_away_and_the_status_comes_back(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert proc.interactive(["sh", "-c", "echo hello; exit 7"]) == 7
    assert capfd.readouterr().out == "hello\n"


def test_which() -> None:
    path = proc.which("sh")
    assert path is not None
    assert path.name == "sh"
    assert proc.which("no-such-program") is None


def test_bytes_that_are_no_utf8_are_kept_if_they_have_to_be() -> None:
    argv = ["printf", "a\\377b"]
    assert proc.run(argv).stdout == "a\ufffdb"
    assert proc.run(argv, exact=True).stdout == "a\udcffb"


class Stuck:
    """A process that waits for a disk: SIGKILL does not end it."""

    pid = 2**30

    def __init__(self) -> None:
        self.waited: list[float] = []

    def wait(self, timeout: float) -> int:
        self.waited.append(timeout)
        raise subprocess.TimeoutExpired("dd", timeout)


def test_a_killed_process_is_not_waited_for_without_end(events: list[Event]) -> None:
    proc.kill(stuck := Stuck())  # type: ignore[arg-type]
    assert stuck.waited == [proc.KILL_DEADLINE]
    assert [event.kind for event in events] == ["note"]
    assert "was killed and does not end" in events[0].text


def test_a_command_that_its_deadline_does_not_end_is_given_up() -> None:
    expired = threading.Event()
    expired.set()
    with pytest.raises(DeadlineExceeded, match="was killed at its deadline and does not end"):
        proc._wait(Stuck(), expired)  # type: ignore[arg-type]
