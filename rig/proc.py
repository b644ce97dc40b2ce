# SPDX-License-Identifier: GPL-2.0-only
"""The one door to other programs.

Every command is a list (no shell), has its stdin closed, a deadline, a session of its own and dies
with the rig, on SIGKILL too. What was run is said as a line that can be pasted into a shell.
"""

import contextlib
import os
import select
import selectors
import shlex
import shutil
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rig import log
from rig.errors import DiskFull, InfraError

Argv = Sequence[str | Path]
OUTPUT_MAX = 64 << 20
"""Bytes of a command's output, all of which is kept in memory: a stranger's Makefile has no end."""
LINE_MAX = 64 << 10
"""Bytes; the rest of a line is the next one."""
_live: weakref.WeakSet[subprocess.Popen[bytes]] = weakref.WeakSet()
_lock = threading.Lock()
Popen = subprocess.Popen
TimeoutExpired = subprocess.TimeoutExpired


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """A command that has ended; `status` is negative for a signal."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    seconds: float


class CommandFailed(InfraError):
    """A command ended with a status other than 0; callers that know whose fault it is say so."""

    def __init__(self, done: Done, line: str) -> None:
        tail = (done.stderr.strip() or done.stdout.strip())[-2000:]
        super().__init__(
            f"{done.argv[0]} ended with status {done.status}",
            hint=f"run it by hand: {line}",
            detail=tail,
        )
        self.done = done


class DeadlineExceeded(InfraError):
    """A command was killed because it took too long."""


class TooMuchOutput(InfraError):
    """A command was killed because it said too much."""


def cpus() -> int:
    """CPUs the rig may use: taskset(1), a container or a batch system may leave it fewer than the
    host has."""
    return len(os.sched_getaffinity(0))


def which(program: str) -> Path | None:
    found = shutil.which(program)
    return Path(found) if found else None


def find(program: str) -> Path:
    """Where a program is. Raises InfraError where it is not installed."""
    if (found := which(program)) is None:
        hint = "`rig doctor --fix` installs what is missing"
        raise InfraError(f"{program} is not installed", hint=hint)
    return found


SYSTEM_PATH = "/usr/sbin:/sbin"
"""Where mke2fs is; not on the PATH of Debian's ordinary users."""


def search_path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_PATH}"


def paste(argv: Argv, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """The command as a line for a shell."""
    words = [f"{key}={shlex.quote(value)}" for key, value in (env or {}).items()]
    line = " ".join([*words, shlex.join(str(arg) for arg in argv)])
    return f"cd {shlex.quote(str(cwd))} && {line}" if cwd else line


def _popen(
    argv: Argv,
    *,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stdin: int,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
) -> subprocess.Popen[bytes]:
    program = find(str(argv[0]))
    if cwd and not cwd.is_dir():
        raise InfraError(f"{argv[0]} cannot be run in {cwd}: there is no such directory")
    log.command(paste(argv, cwd, env))
    # setpriv rather than preexec_fn: running Python between fork and exec is not safe once there
    # are threads. The signal comes when the *thread* that started the command ends
    # (PR_SET_PDEATHSIG, prctl(2)), so a command must not outlive the thread that asked for it.
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", str(program), *(str(a) for a in argv[1:])],
        cwd=cwd,
        env={**os.environ, "PATH": search_path(), "LC_ALL": "C.UTF-8", **(env or {})},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )
    with _lock:
        _live.add(process)
    return process


def stop_all() -> None:
    """End every command of every thread: what waits for one of them finds it killed."""
    with _lock:
        running = [process for process in _live if process.poll() is None]
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a command and everything it started in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")


def run(
    argv: Argv,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    deadline: float = 600,
    check: bool = True,
    stdin: bytes | None = None,
    on_line: Callable[[str], None] | None = None,
    exact: bool = False,
) -> Done:
    """Run a command to its end.

    With `exact`, bytes of stdout that are no UTF-8 are kept, as os.fsdecode() keeps them.

    With `on_line`, stdout and stderr are one stream and each line is handed over as it comes;
    `stdin` cannot be given then, as nobody would write it.
    Raises CommandFailed (unless `check` is off), DeadlineExceeded, TooMuchOutput, InfraError.
    """
    assert stdin is None or on_line is None
    began = time.monotonic()
    process = _popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if on_line else subprocess.PIPE,
    )
    timer, expired = _alarm(process, deadline)
    try:
        if on_line:
            out, err = _lines(process, on_line), b""
        else:
            out, err = _collect(process, stdin)
        process.wait()
    except BaseException:
        kill(process)
        raise
    finally:
        timer.cancel()
        for stream in (process.stdout, process.stderr, process.stdin):
            if stream:
                stream.close()
    done = Done(
        argv=tuple(str(arg) for arg in argv),
        status=process.returncode,
        stdout=out.decode("utf-8", "surrogateescape") if exact else _text(out),
        stderr=_text(err),
        seconds=time.monotonic() - began,
    )
    if expired.is_set():
        raise DeadlineExceeded(
            f"{argv[0]} took more than {deadline:g} s and was stopped",
            hint=f"run it by hand: {paste(argv, cwd, env)}",
            detail=(done.stderr or done.stdout)[-2000:],
        )
    if check and done.status:
        raise _failure(done, paste(argv, cwd, env))
    return done


def _failure(done: Done, line: str) -> InfraError:
    if any(words in done.stdout + done.stderr for words in DiskFull.WORDS):
        return DiskFull(done.argv[0], detail=(done.stderr or done.stdout)[-2000:])
    return CommandFailed(done, line)


def _alarm(
    process: subprocess.Popen[bytes], deadline: float
) -> tuple[threading.Timer, threading.Event]:
    """Kill the command when its time is up, and remember that it was so."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(deadline, expire)
    timer.daemon = True
    timer.start()
    return timer, expired


def _lines(process: subprocess.Popen[bytes], on_line: Callable[[str], None]) -> bytes:
    assert process.stdout is not None
    said = bytearray()
    while line := process.stdout.readline(LINE_MAX):
        said += line
        _check_size(len(said))
        on_line(_text(line).rstrip("\r\n"))
    return bytes(said)


def _collect(process: subprocess.Popen[bytes], stdin: bytes | None) -> tuple[bytes, bytes]:
    """stdout and stderr, while stdin is written: Popen.communicate() keeps whatever comes."""
    said = {stream.fileno(): bytearray() for stream in (process.stdout, process.stderr) if stream}
    left = memoryview(stdin or b"")
    with selectors.DefaultSelector() as selector:
        for number in said:
            selector.register(number, selectors.EVENT_READ)
        if process.stdin:
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            for key, _ in selector.select():
                if process.stdin and key.fileobj is process.stdin:
                    try:
                        left = left[os.write(key.fd, left[: select.PIPE_BUF]) :]
                    except BrokenPipeError:
                        left = left[:0]
                    if not left:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                elif data := os.read(key.fd, LINE_MAX):
                    said[key.fd] += data
                    _check_size(sum(map(len, said.values())))
                else:
                    selector.unregister(key.fd)
    out, err = said.values()
    return bytes(out), bytes(err)


def _check_size(said: int) -> None:
    if said > OUTPUT_MAX:
        raise TooMuchOutput(f"a command said more than {OUTPUT_MAX >> 20} MiB and was stopped")


@contextlib.contextmanager
def spawn(
    argv: Argv,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.STDOUT,
) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs beside us; it is killed when the context ends."""
    process = _popen(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
    try:
        yield process
    finally:
        kill(process)
        if process.stdout:
            process.stdout.close()


def interactive(argv: Argv) -> int:
    """Give the user's terminal to a command and return its status."""
    log.command(paste(argv))
    return subprocess.run([str(arg) for arg in argv], check=False).returncode
