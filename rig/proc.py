# SPDX-License-Identifier: GPL-2.0-only
"""Runs other programs. No other module does.

A command is a list (no shell). Its stdin is empty, it has a deadline and a session of its own, and
it dies with the rig, also if the rig gets SIGKILL. Each command is reported as a line that can be
pasted into a shell.
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

from rig import family, log
from rig.errors import DiskFull, InfraError

Argv = Sequence[str | Path]
OUTPUT_MAX = 64 << 20
"""Bytes of a command's output, which is kept in memory: a hostile Makefile may print forever."""
LINE_MAX = 64 << 10
"""Bytes; a longer line is split."""
KILL_DEADLINE = 60.0
"""Seconds. A killed process that waits for a disk or for NFS (state D) does not end before that."""
_live: weakref.WeakSet[subprocess.Popen[bytes]] = weakref.WeakSet()
_lock = threading.Lock()
Popen = subprocess.Popen
TimeoutExpired = subprocess.TimeoutExpired


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """The result of a command that has ended; `status` is negative for a signal."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    seconds: float


class CommandFailed(InfraError):
    """A command ended with a status other than 0. Callers that know the owner of the fault raise
    another error instead."""

    def __init__(self, done: Done, line: str) -> None:
        tail = (done.stderr.strip() or done.stdout.strip())[-2000:]
        super().__init__(
            f"{done.argv[0]} ended with status {done.status}",
            hint=f"run it by hand: {line}",
            detail=tail,
        )
        self.done = done


class DeadlineExceeded(InfraError):
    """A command was killed because it exceeded its deadline."""


class TooMuchOutput(InfraError):
    """A command was killed because its output was too large."""


def cpus() -> int:
    """CPUs the rig may use: taskset(1), a container or a batch system may leave it fewer than the
    host has."""
    return len(os.sched_getaffinity(0))


def which(program: str) -> Path | None:
    path = shutil.which(program)
    return Path(path) if path else None


def find(program: str) -> Path:
    """The path of a program. Raises InfraError if it is not installed."""
    if (path := which(program)) is None:
        hint = (
            "`rig doctor --fix` installs what is missing;"
            " add --arch NAME for what guests of that architecture need"
        )
        raise InfraError(f"{program} is not installed", hint=hint)
    return path


SYSTEM_PATH = "/usr/sbin:/sbin"
"""For mke2fs: on Debian these are not on the PATH of ordinary users."""


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
        raise InfraError(
            f"{argv[0]} cannot be run in {cwd}: there is no such directory",
            hint="another process may have removed it; run the rig again",
        )
    log.command(paste(argv, cwd, env))
    # setpriv rather than preexec_fn: running Python between fork and exec is not safe if there are
    # threads. The signal comes when the *thread* that started the command ends (PR_SET_PDEATHSIG,
    # prctl(2)), so a command must not outlive the thread that started it.
    argv = ["setpriv", "--pdeathsig", "KILL", "--", str(program), *(str(word) for word in argv[1:])]
    variables = {**os.environ, "PATH": search_path(), "LC_ALL": "C.UTF-8", **(env or {})}
    with _lock:  # or stop_all() would miss a process that is started and not yet listed
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=variables,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        _live.add(process)
    return process


def stop_all() -> None:
    """Kill the commands of all threads; the threads that wait for them go on."""
    with _lock:
        running = [process for process in _live if process.poll() is None]
    families = [_kill(process) for process in running]
    for pidfds in families:
        family.await_end(pidfds)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command and everything that it started."""
    pidfds = _kill(process)
    try:
        process.wait(KILL_DEADLINE)
    except TimeoutExpired:
        log.note(f"process {process.pid} was killed and does not end: it waits for the kernel")
    family.await_end(pidfds)


def _kill(process: subprocess.Popen[bytes]) -> list[int]:
    """Kill a command; the pidfds of all that it has started.

    What runs in a sandbox has a session of its own. It dies with the sandbox, but later: the kernel
    ends a PID namespace after the process that holds it, and frees a guest's memory first.
    """
    pidfds = list(family.descendants(process.pid))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return pidfds


def _wait(process: subprocess.Popen[bytes], expired: threading.Event) -> None:
    """Wait for the end of a command. At its deadline it is killed, and then it must end soon."""
    while True:
        killed = expired.is_set()
        try:
            process.wait(KILL_DEADLINE)
        except TimeoutExpired:
            if killed:
                raise DeadlineExceeded(
                    f"process {process.pid} was killed at its deadline and does not end",
                    hint="it waits for the kernel: look for a disk or a file server that hangs",
                ) from None
        else:
            return


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
    on_deadline: Callable[[int], None] | None = None,
    exact: bool = False,
) -> Done:
    """Run a command to its end.

    With `exact`, bytes of stdout that are not UTF-8 are kept, as os.fsdecode() keeps them.

    With `on_line`, stdout and stderr are one stream, and `on_line` is called for each line as it
    comes; then `stdin` cannot be given. `on_deadline` is called with the command's pid, in
    another thread, before the command is killed at its deadline.
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
    timer, expired = _alarm(process, deadline, on_deadline)
    try:
        out, err = _collect(process, stdin, _Lines(on_line) if on_line else None, expired)
        _wait(process, expired)
    except BaseException:
        kill(process)
        raise
    finally:
        timer.cancel()
        for stream in (process.stdout, process.stderr, process.stdin):
            if stream:
                stream.close()
    result = Done(
        argv=tuple(str(arg) for arg in argv),
        status=process.returncode,
        stdout=out.decode("utf-8", "surrogateescape") if exact else _text(out),
        stderr=_text(err),
        seconds=time.monotonic() - began,
    )
    if expired.is_set():
        raise DeadlineExceeded(
            f"{argv[0]} took more than {deadline:g} s and was killed",
            hint=f"run it by hand: {paste(argv, cwd, env)}",
            detail=(result.stderr or result.stdout)[-2000:],
        )
    if check and result.status:
        raise _failure(result, paste(argv, cwd, env))
    return result


def _failure(result: Done, line: str) -> InfraError:
    return fault(result) or CommandFailed(result, line)


def fault(result: Done) -> InfraError | None:
    """The error if the host made a command fail, whatever the command was for: a full disk, or a
    signal. None if the command itself has failed."""
    detail = (result.stderr or result.stdout)[-2000:]
    name = next((word for word in result.argv if word in ("git", "spatch")), result.argv[0])
    if result.status and any(words in result.stdout + result.stderr for words in DiskFull.WORDS):
        return DiskFull(name, detail=detail)
    if result.status < 0:
        return InfraError(f"{name} was killed by signal {-result.status}", detail=detail)
    return None


def _alarm(
    process: subprocess.Popen[bytes], deadline: float, last: Callable[[int], None] | None
) -> tuple[threading.Timer, threading.Event]:
    """Kill the command at its deadline; the event says whether that happened."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        try:
            if last:
                last(process.pid)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(deadline, expire)
    timer.daemon = True
    timer.start()
    return timer, expired


class _Lines:
    """Cuts a stream into lines, and calls `on_line` for each."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.on_line = on_line
        self._rest = b""

    def feed(self, data: bytes) -> None:
        data, start = self._rest + data, 0
        while start < len(data):
            end = data.find(b"\n", start, start + LINE_MAX) + 1
            if not end and len(data) - start < LINE_MAX:
                break
            end = end or start + LINE_MAX
            self.on_line(_text(data[start:end]).rstrip("\r\n"))
            start = end
        self._rest = data[start:]

    def close(self) -> None:
        if self._rest:
            self.on_line(_text(self._rest).rstrip("\r\n"))


def _collect(
    process: subprocess.Popen[bytes],
    stdin: bytes | None,
    lines: _Lines | None,
    expired: threading.Event,
) -> tuple[bytes, bytes]:
    """stdout and stderr, while stdin is written. Popen.communicate() has no limit on their size.

    After the deadline nothing more is read: a daemon that the command has started, in a session of
    its own, may keep a pipe open for ever.
    """
    outputs = {
        stream.fileno(): bytearray() for stream in (process.stdout, process.stderr) if stream
    }
    rest = memoryview(stdin or b"")
    with selectors.DefaultSelector() as selector:
        for number in outputs:
            selector.register(number, selectors.EVENT_READ)
        if process.stdin:
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            ready = selector.select(1)
            if not ready and expired.is_set():
                break
            for key, _ in ready:
                if process.stdin and key.fileobj is process.stdin:
                    try:
                        rest = rest[os.write(key.fd, rest[: select.PIPE_BUF]) :]
                    except BrokenPipeError:
                        rest = rest[:0]
                    if not rest:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                elif data := os.read(key.fd, LINE_MAX):
                    outputs[key.fd] += data
                    _check_size(sum(map(len, outputs.values())))
                    if lines:
                        lines.feed(data)
                else:
                    selector.unregister(key.fd)
    if lines:
        lines.close()
    out, err, *_ = (*outputs.values(), b"")
    return bytes(out), bytes(err)


def _check_size(size: int) -> None:
    if size > OUTPUT_MAX:
        raise TooMuchOutput(
            f"a command printed more than {OUTPUT_MAX >> 20} MiB and was killed",
            hint="look for a Makefile or a program that prints in an endless loop",
        )


@contextlib.contextmanager
def spawn(
    argv: Argv,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.STDOUT,
) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs in the background; it is killed when the context ends."""
    process = _popen(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
    try:
        yield process
    finally:
        kill(process)
        if process.stdout:
            process.stdout.close()


def interactive(argv: Argv) -> int:
    """Run a command in the user's terminal and return its status."""
    log.command(paste(argv))
    return subprocess.run([str(arg) for arg in argv], check=False).returncode
