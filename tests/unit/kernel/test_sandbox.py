# SPDX-License-Identifier: GPL-2.0-only
"""Hostile commands, each of which gets out where there is no box, and none where there is.

Each is tried as root, who gives up its uid in the box, and as an ordinary user.
"""

import contextlib
import os
import pty
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rig import proc
from rig.errors import InfraError
from rig.kernel import sandbox
from rig.kernel.sandbox import Box, Limits

USER = 61234
ROOT = os.geteuid() == 0
pytestmark = pytest.mark.skipif(bool(sandbox.broken()), reason=sandbox.broken())

Run = Callable[..., proc.Done]


@pytest.fixture(params=["root", "user"])
def who(request: pytest.FixtureRequest) -> str:
    if request.param == "root" and not ROOT:
        pytest.skip("only root can try what root's box holds")
    return str(request.param)


@pytest.fixture
def home(who: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home directory of who runs the rig, with something in it that is nobody else's."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="rig-home-") as name:
        path = Path(name)
        for directory in ("given", "out", ".ssh"):
            (path / directory).mkdir()
        (path / ".ssh" / "id_ed25519").write_text("secret\n")
        (path / "given" / "file").write_text("given\n")
        if who == "user" and ROOT:
            for child in (path, *path.rglob("*")):
                os.chown(child, USER, USER)
        monkeypatch.setenv("HOME", name)
        monkeypatch.setenv("GITHUB_TOKEN", "secret")
        yield path


@pytest.fixture
def as_user(who: str) -> Callable[[list[str]], list[str]]:
    """The command line, run by an ordinary user if that is who is meant."""
    ids = ["--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
    return lambda argv: ["setpriv", *ids, "--", *argv] if who == "user" and ROOT else argv


@pytest.fixture
def box(home: Path) -> Box:
    return Box(read=(home / "given",), write=(home / "out",), cwd=home / "out")


@pytest.fixture
def boxed(who: str, box: Box, as_user: Callable[[list[str]], list[str]]) -> Run:
    """Run a shell script in the box."""

    def run(script: str, *words: str, box: Box = box, deadline: float = 60) -> proc.Done:
        if who == "root":
            for path in (*box.write, *(path for path, _ in box.over)):
                sandbox.give(path)
        argv = ["/bin/sh", "-c", script, "sh", *words]
        command = sandbox.confined(argv, box, root=who == "root")
        return proc.run(as_user(command), check=False, deadline=deadline)

    return run


@pytest.fixture
def unboxed(home: Path, as_user: Callable[[list[str]], list[str]]) -> Run:
    """Run it where there is no box, as the same user."""

    def run(script: str, *words: str) -> proc.Done:
        argv = as_user(["/bin/sh", "-c", script, "sh", *words])
        return proc.run(argv, check=False, deadline=60, cwd=home / "out")

    return run


@pytest.fixture
def listeners() -> Iterator[dict[str, str]]:
    """Sockets of the host's that a stranger would like to reach."""
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as named,
        tempfile.TemporaryDirectory(dir="/run" if ROOT else "/var/tmp") as directory,
    ):
        Path(directory).chmod(0o755)
        abstract.bind(f"\0rig-test-{os.getpid()}")
        named.bind(f"{directory}/docker.sock")
        Path(f"{directory}/docker.sock").chmod(0o777)
        for listener in (abstract, named):
            listener.listen()
        yield {
            "tcp": f"TCP:127.0.0.1:{tcp.getsockname()[1]}",
            "abstract": f"ABSTRACT-CONNECT:rig-test-{os.getpid()}",
            "named": f"UNIX-CONNECT:{directory}/docker.sock",
        }


# What can be tried without a box, and succeeds there


ESCAPES = {
    "a key in the home directory": 'cat "$1/.ssh/id_ed25519"',
    "the names of what is in the home directory": 'ls "$1/.ssh" | sed s/id_ed25519/secret/',
    "a token in the environment": 'test -z "$GITHUB_TOKEN" || echo secret',
    "a token of another process": "cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep ^GITHUB_TOKEN",
    "the users of this host": "test -e /etc/passwd && echo secret",
    "this host's name": f'test "$(uname -n)" = "{os.uname().nodename}" && echo secret',
    "processes of this host": f"test -e /proc/{os.getpid()}/stat && echo secret",
    "the network": 'ls /sys/class/net 2>/dev/null | grep -v "^lo$" >/dev/null && echo secret',
    "a write beside its output": 'echo secret >"$1/evil" && ls -d "$1/.ssh" && cat "$1/evil"',
    "a write to what it may read": 'echo secret >"$1/given/file" && cat "$1/given/file"',
    "a link out of its output": 'ln -s "$1/.ssh/id_ed25519" link && cat link',
}


@pytest.mark.parametrize("attempt", ESCAPES)
def test_a_stranger_does_not_reach(attempt: str, home: Path, boxed: Run, unboxed: Run) -> None:
    script = ESCAPES[attempt]
    assert "secret" in unboxed(script, str(home)).stdout, "or the attempt proves nothing"
    for path in (home / "evil", home / "out" / "link"):
        path.unlink(missing_ok=True)
    (home / "given" / "file").write_text("given\n")
    done = boxed(script, str(home))
    assert "secret" not in done.stdout + done.stderr
    assert not (home / "evil").exists()
    assert (home / "given" / "file").read_text() == "given\n"


@pytest.mark.parametrize("kind", ["tcp", "abstract", "named"])
def test_a_stranger_reaches_no_socket(
    kind: str, listeners: dict[str, str], boxed: Run, unboxed: Run
) -> None:
    script = 'socat -t0.1 - "$1" </dev/null && echo connected'
    assert "connected" in unboxed(script, listeners[kind]).stdout, "or it proves nothing"
    assert "connected" not in boxed(script, listeners[kind]).stdout


# What would hurt without a box, or needs one


@pytest.mark.parametrize(
    ("attempt", "script"),
    [
        ("a remount", "mount -o remount,bind,rw /usr"),
        ("a mount", "mount -t tmpfs none /tmp"),
        ("a user namespace", "unshare --user true"),
        ("a mount namespace", "unshare --mount true"),
        ("another user", "setpriv --reuid 0 true"),
        ("a device", "mknod /tmp/sda b 8 0"),
        ("a program of the system", "touch /usr/bin/evil"),
        ("the root directory", "touch /evil"),
        ("devices", "touch /dev/evil"),
        ("settings of the kernel", "echo 1 >/proc/sys/kernel/randomize_va_space"),
        ("the kernel's messages", "head -c 1 /dev/kmsg /proc/kmsg"),
        ("memory of the host", "head -c 1 /dev/mem /proc/kcore"),
        ("the terminal", ": </dev/tty"),
        ("the first process", "kill -0 1 && cat /proc/1/environ | grep -a GITHUB_TOKEN"),
        ("a higher priority", "nice -n -5 true 2>&1 | grep . && exit 1"),
    ],
)
def test_a_stranger_is_refused(attempt: str, script: str, boxed: Run) -> None:
    done = boxed(f"({script}) && echo escaped; echo tried")
    assert done.stdout.splitlines()[-1:] == ["tried"], done.stderr
    assert "escaped" not in done.stdout, attempt


# What the kernel gives to a process whatever its namespaces are

WITH_A_KEY = """
import ctypes, os, sys
call = ctypes.CDLL(None).syscall
key = call({add}, b"user", b"rig-test", b"secret", 6, call({keyctl}, 1, None))
os.execv(sys.argv[1], sys.argv[1:])
"""
READS_IT = """
import ctypes
call, data = ctypes.CDLL(None).syscall, ctypes.create_string_buffer(6)
call({keyctl}, 11, call({keyctl}, 10, -3, b"user", b"rig-test", 0), data, 6)
print(data.raw.decode(errors="replace"))
"""
HOSTS_OWN = {
    "a key of the session": READS_IT,
    "a socket to the hypervisor": "import socket; socket.socket(socket.AF_VSOCK); print('secret')",
    "io_uring, which makes such sockets": """
import ctypes
print("secret" if ctypes.CDLL(None).syscall(425, 1, bytes(120)) >= 0 else "refused")
""",
    "32-bit system calls, which have other numbers": """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("b8 14000000 cd80 c3"))  # getpid by int 0x80
getpid = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
print("secret" if getpid() > 0 else "refused")
""",
}


@pytest.mark.parametrize("attempt", HOSTS_OWN)
def test_a_stranger_does_not_reach_what_no_namespace_has(
    attempt: str, who: str, box: Box, as_user: Callable[[list[str]], list[str]]
) -> None:
    numbers = (248, 250) if os.uname().machine == "x86_64" else (217, 219)
    texts = (text.format(add=numbers[0], keyctl=numbers[1]) for text in (WITH_A_KEY, READS_IT))
    (with_a_key, reads), python = texts, "/usr/bin/python3"
    argv = [python, "-c", reads if attempt == "a key of the session" else HOSTS_OWN[attempt]]
    if attempt.startswith("32-bit") and os.uname().machine != "x86_64":
        pytest.skip("no 32-bit programs run here")

    def output(command: list[str]) -> str:
        done = proc.run(as_user([python, "-c", with_a_key, *command]), check=False, deadline=60)
        return done.stdout + done.stderr

    if "secret" not in output(argv):
        pytest.skip("this host refuses it to everybody")
    command = sandbox.confined(argv, box, root=who == "root")
    refused = output([str(proc.find(command[0])), *command[1:]])
    assert "secret" not in refused
    assert "bwrap" not in refused, "the attempt was made"


def test_a_stranger_has_no_rights_left(boxed: Run) -> None:
    status = boxed("cat /proc/self/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(fields[name], 16) == 0, name
    assert fields["NoNewPrivs"] == "1"
    assert "0" not in fields["Uid"].split() + fields["Gid"].split()


def test_a_stranger_sees_little(home: Path, boxed: Run) -> None:
    seen = set(boxed("ls -a / /etc /run /var/run /root /home /opt /srv 2>/dev/null").stdout.split())
    system = {Path(name).name for name in sandbox.SYSTEM}
    settings = {Path(name).name for name in sandbox.SETTINGS}
    expected = {"dev", "etc", "proc", "run", "tmp", "var", ".", "..", "/:", "/etc:", "/run:"}
    assert seen <= system | settings | expected


def test_what_it_is_given_it_has(home: Path, boxed: Run) -> None:
    done = boxed('cat "$1/given/file" && pwd && echo made >made && echo $HOME $TMPDIR', str(home))
    assert done.stdout.split() == ["given", str(home / "out"), "/tmp", "/tmp"]
    assert (home / "out" / "made").read_text() == "made\n"
    assert boxed("cc --version && awk 'BEGIN { print 7 }' && nproc").status == 0


def test_its_environment_is_what_is_said(box: Box, boxed: Run) -> None:
    done = boxed("env", box=replace(box, env={"CCACHE_DIR": "a b"}))
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert names - {"PWD", "_", "SHLVL", "OLDPWD"} == {
        "CCACHE_DIR", "HOME", "LC_ALL", "PATH", "TMPDIR",
    }  # fmt: skip
    assert "CCACHE_DIR=a b" in done.stdout


def test_one_directory_is_seen_in_anothers_place(home: Path, box: Box, boxed: Run) -> None:
    (home / "out" / "theirs").touch()
    other = replace(box, write=(), over=((home / "given", home / "out"),))
    assert boxed("ls; touch ours", box=other).stdout == "file\n"
    assert (home / "given" / "ours").exists() and not (home / "out" / "ours").exists()


# Limits


def test_a_process_has_no_more_memory_than_it_may(box: Box, boxed: Run) -> None:
    little = replace(box, limits=Limits(memory=256))
    for size, left in (("64M", "67108864"), ("1G", "0")):
        done = boxed(f"head -c {size} /dev/zero | tail | wc -c", box=little)
        assert done.stdout.strip() == left


def test_a_fork_bomb_ends(box: Box, boxed: Run) -> None:
    few = replace(box, limits=Limits(processes=40))
    done = boxed("i=0; while [ $i -lt 200 ]; do sleep 100 & i=$((i+1)); done; echo all", box=few)
    assert "all" not in done.stdout
    assert boxed("sleep 0 & wait; echo all", box=few).stdout == "all\n"


def test_a_file_is_no_larger_than_it_may(home: Path, box: Box, boxed: Run) -> None:
    small = replace(box, limits=Limits(file=1))
    boxed("head -c 64M /dev/zero >large; truncate -s 64M sparse", box=small)
    sizes = {path.name: path.stat().st_size for path in (home / "out").iterdir()}
    assert sizes["large"] == 1 << 20 and sizes.get("sparse", 0) <= 1 << 20


def running(words: str) -> bool:
    """Whether any process of this host has these words on its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if words in path.read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                return True
    return False


def test_what_it_leaves_running_ends_with_it(
    home: Path, boxed: Run, eventually: Callable[[Callable[[], object]], None]
) -> None:
    late = f"sleep 60; touch {home}/out/late"
    boxed(f"(trap '' HUP TERM; setsid sh -c '{late}') >/dev/null 2>&1 & exit 0")
    eventually(lambda: not running(late))
    assert not (home / "out" / "late").exists()


def test_a_command_past_its_deadline_is_gone(
    home: Path, boxed: Run, eventually: Callable[[Callable[[], object]], None]
) -> None:
    with pytest.raises(proc.DeadlineExceeded):
        boxed("trap '' HUP TERM INT; sleep 4321", str(home), deadline=1)
    eventually(lambda: not running(str(home)))


# A terminal

TYPES = """
import fcntl, termios
for typed in b"evil\\n":
    try:
        fcntl.ioctl(0, termios.TIOCSTI, bytes([typed]))
    except OSError as error:
        print(error)
print("tried")
"""
SHELL = """
import subprocess, sys, termios
attributes = termios.tcgetattr(0)
attributes[3] &= ~(termios.ICANON | termios.ECHO)
attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 0, 5
subprocess.run(sys.argv[1:])
termios.tcsetattr(0, termios.TCSANOW, attributes)
print("then", sys.stdin.buffer.raw.read(100))
"""


@pytest.fixture
def at_a_terminal() -> Callable[[list[str]], str]:
    """Run a command at a terminal of its own; what it has said, and then what was left to read."""

    def run(argv: list[str]) -> str:
        pid, terminal = pty.fork()
        if not pid:
            os.execv(sys.executable, [sys.executable, "-c", SHELL, *argv])
        output = b""
        with contextlib.suppress(OSError):  # EIO: nobody has it any more
            while data := os.read(terminal, 4096):
                output += data
        os.close(terminal)
        os.waitpid(pid, 0)
        return output.decode()

    return run


def test_what_has_a_terminal_types_nothing_into_it(
    box: Box,
    who: str,
    as_user: Callable[[list[str]], list[str]],
    at_a_terminal: Callable[[list[str]], str],
) -> None:
    """TIOCSTI, which Linux before 6.2 allows to all: the shell that comes next would obey."""
    argv, at_it = ["/usr/bin/python3", "-c", TYPES], replace(box, terminal=True)
    setting = Path("/proc/sys/dev/tty/legacy_tiocsti")
    if not setting.is_file() or setting.read_text() == "1\n":
        assert "then b'evil\\n'" in at_a_terminal(as_user(argv)), "or the attempt proves nothing"
    output = at_a_terminal(as_user(sandbox.confined(argv, at_it, root=who == "root")))
    assert "tried" in output and "then b''" in output
    for status in (0, 7):
        words = ["/bin/sh", "-c", f"test -t 0 -a -t 1 && exit {status}"]
        command = as_user(sandbox.confined(words, at_it, root=who == "root"))
        assert subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode == status


# What is left behind is read without following links


@pytest.fixture
def top(tmp_path: Path) -> Path:
    made = tmp_path / "out"
    (made / "deep" / "er").mkdir(parents=True)
    (made / "deep" / "er" / "file").write_text("whole\n")
    (tmp_path / "secret").write_text("secret\n")
    return made


def test_a_regular_file_is_taken(top: Path, tmp_path: Path) -> None:
    sandbox.take(top, "deep/er/file", tmp_path / "copy", 6)
    assert (tmp_path / "copy").read_text() == "whole\n"
    assert sandbox.read(top, "deep/er/file", 100) == b"whole\n"


@pytest.mark.parametrize(
    ("attack", "complaint"),
    [
        ("ln -s ../secret file", "symbolic links"),
        ("ln -s /etc/passwd file", "symbolic links"),
        ("ln -s nowhere file", "symbolic links"),
        ("mkfifo file", "not a regular file"),
        ("mkdir file", "Is a directory"),
        ("head -c 101 /dev/zero >file", "101 bytes; the limit is 100"),
        ("truncate -s 1T file", "bytes; the limit is 100"),
        ("true", "No such file"),
        (
            "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"file\")'",
            "No such device",
        ),
    ],
)
def test_anything_else_is_refused(top: Path, tmp_path: Path, attack: str, complaint: str) -> None:
    subprocess.run(["sh", "-c", attack], cwd=top, check=True)
    with pytest.raises(sandbox.Left, match=complaint):
        sandbox.take(top, "file", tmp_path / "copy", 100)
    assert not (tmp_path / "copy").exists()


def test_no_directory_on_the_way_may_be_a_link(top: Path, tmp_path: Path) -> None:
    (top / "deep" / "link").symlink_to("er")
    with pytest.raises(sandbox.Left):
        sandbox.read(top, "deep/link/file", 100)
    with pytest.raises(sandbox.Left):
        sandbox.read(top, "../secret", 0)


def test_a_socket_is_reached_and_a_link_to_one_is_not(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        sandbox.connected(tmp_path / "s").close()
        (tmp_path / "link").symlink_to("s")
        with pytest.raises(ConnectionError, match="not a socket"):
            sandbox.connected(tmp_path / "link")
    (tmp_path / "file").touch()
    with pytest.raises(ConnectionError, match="not a socket"):
        sandbox.connected(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        sandbox.connected(tmp_path / "gone")


def test_a_socket_that_accepts_nobody_is_not_waited_for(tmp_path: Path) -> None:
    refused: list[OSError] = []

    def connect() -> None:
        try:
            while True:
                stack.enter_context(sandbox.connected(tmp_path / "s"))
        except OSError as error:
            refused.append(error)

    with contextlib.ExitStack() as stack, socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen(0)
        thread = threading.Thread(target=connect, daemon=True)
        thread.start()
        thread.join(20)
        assert refused


def test_whatever_is_left_can_be_removed(home: Path, boxed: Run) -> None:
    """Directories that nobody may enter, deeper than Python's recursion goes."""
    boxed(f"mkdir -p {'d/' * 1500}; chmod 0 d")
    assert (home / "out" / "d").exists()
    sandbox.remove(home / "out" / "d")
    assert not (home / "out" / "d").exists()


# A host where it does not work


def test_a_host_without_it_refuses_and_says_the_ways_out(
    program: Callable[[str, str], Path], tmp_path: Path
) -> None:
    program("bwrap", "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1")
    assert sandbox.broken() == "bwrap: setting up uid map: Permission denied"
    with pytest.raises(InfraError, match="cannot be confined here: bwrap: setting up") as refused:
        sandbox.command(["true"], Box())
    assert "--unconfined" in refused.value.hint
    assert proc.run(sandbox.command(["true"], Box(), unconfined=True)).status == 0


def test_without_it_the_environment_is_no_larger(
    program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    program("bwrap", "exit 1")
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    done = proc.run(sandbox.command(["env"], Box(env={"A": "b"}), unconfined=True))
    assert "secret" not in done.stdout and "A=b" in done.stdout


def test_ubuntus_apparmor_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = tmp_path / "restrict"
    monkeypatch.setattr(sandbox, "APPARMOR", setting)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "apparmor" not in sandbox.refusal("no").hint
    setting.write_text("1\n")
    assert "bwrap-userns-restrict" in sandbox.refusal("no").hint


@pytest.mark.parametrize(
    ("status", "signal"), [(0, 0), (1, 0), (-9, 9), (137, 9), (134, 6), (255, 0)]
)
def test_the_signal_that_ended_a_command(status: int, signal: int) -> None:
    assert sandbox.signal_of(status) == signal


def test_bubblewrap_has_one_importer() -> None:
    """DESIGN: one module runs a stranger's code."""
    importers = [
        path.name
        for path in (Path(__file__).parents[3] / "rig").rglob("*.py")
        if '"bwrap"' in path.read_text()
    ]
    assert sorted(importers) == ["requirements.py", "sandbox.py"]
    assert shutil.which("bwrap")
