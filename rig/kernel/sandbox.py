# SPDX-License-Identifier: GPL-2.0-only
"""The sandbox for code from a series: it sees only what it is given, and writes only where it may.

A build of a series runs the Makefiles and host scripts in it, and QEMU does not guarantee isolation
under TCG (QEMU's docs/system/security.rst). bubblewrap makes a box for each command: namespaces, a
file system with a few mounts, no capabilities, no network, an environment with a few variables.
docs/security.md describes each boundary and the test of it.
"""

import base64
import contextlib
import functools
import os
import shlex
import shutil
import signal
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from rig import proc
from rig import scratch as leftovers
from rig.errors import BuildError, InfraError
from rig.kernel import seccomp

UID = 65530
"""The user of a command if root runs the rig. It is in no range that systemd or Debian assign to
users, and below 65536, so that it exists in a container too."""
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Programs and libraries: the toolchain, QEMU, and the libraries that they are linked with."""
SETTINGS = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
"""Files that programs in /usr need: Debian's cc and awk are links through /etc/alternatives."""
NAMESPACES = (
    *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
    *("--die-with-parent", "--cap-drop", "ALL", "--clearenv", "--hostname", "rig"),
)
WITH_FILTER = 'exec 9< <(printf %s "$0" | base64 --decode); exec "$@"'
NO_MORE_NAMESPACES = ("--unshare-user", "--disable-userns")
TMP_BYTES = 4 << 30
OTHERS, LONGEST = ("/tmp", "/var/tmp", "/dev/shm"), 70
"""Directories to use if the path of TMPDIR has more bytes than this."""
GIB = 1024
"""Limits are in MiB."""
APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
APPARMOR_WAY_OUT = (
    "Ubuntu's AppArmor forbids user namespaces: `sudo apt-get install apparmor-profiles && sudo cp"
    " /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && sudo"
    " apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict` allows them to bubblewrap"
)
WAYS_OUT = "install bubblewrap 0.8 or newer, allow user namespaces, or run the rig in a VM as root"
UNCONFINED = "or accept the risk with --unconfined, which is noted in the result"


class Left(BuildError):
    """A file that a command wrote is absent, too large, or not a regular file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits on what a command may use; sizes in MiB."""

    memory: int = 8 * GIB
    """Address space of each process. The host's OOM killer kills processes of the box first."""
    processes: int = field(default_factory=lambda: 1024 + 64 * proc.cpus())
    file: int = 4 * GIB
    """Size of a file."""

    def argv(self) -> list[str]:
        limits = (
            ("--as", self.memory << 20),
            ("--nproc", self.processes),
            ("--fsize", self.file << 20),
        )
        words = [f"{name}={value}" for name, value in limits]
        return ["choom", "--adjust", "1000", "--", "prlimit", *words, "--core=0", "--"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """What a command sees besides the system's programs, at the same path as outside."""

    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    """Files and directories that the command may write."""
    over: tuple[tuple[Path, Path], ...] = ()
    """(directory, place): the command sees this directory at `place`, and may write it."""
    device: Path | None = None
    cwd: Path = Path("/tmp")
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    terminal: bool = False
    """For a command that a person uses: it gets a terminal of its own, which script(1) connects to
    the person's."""


def command(argv: proc.Argv, box: Box, *, unconfined: bool = False) -> list[str]:
    """The command line that runs a command in the box.

    If the sandbox does not work on this host and `unconfined` is set, it runs the command without a
    box. Otherwise InfraError is raised; its hint says what the user can do.
    """
    words = [str(proc.find(str(argv[0]))), *(str(word) for word in argv[1:])]
    if not (why := broken()):
        for path in (*box.write, *(path for path, _ in box.over)):
            give(path)
        return confined(words, box, root=os.geteuid() == 0)
    if not unconfined:
        raise refusal(why)
    alone = [f"{key}={value}" for key, value in _environment(box).items()]
    return ["env", "--ignore-environment", "-C", str(box.cwd), *alone, *words]


def tool(name: str) -> str:
    """The path at which a command in the box finds this program; the name if it finds none."""
    return shutil.which(name, path=PATH) or name


def broken() -> str:
    """Why the sandbox does not work on this host; empty if it works."""
    return _broken(proc.which("bwrap"))


@functools.cache
def _broken(bwrap: Path | None) -> str:
    """Run a program in the box as any other. The result is kept for each path of bubblewrap."""
    if bwrap is None:
        return "bubblewrap is not installed"
    result = proc.run(
        confined([str(proc.find("true"))], Box(), root=os.geteuid() == 0), check=False, deadline=60
    )
    lines = (result.stderr or result.stdout).strip().splitlines()
    if result.status == 0:
        return ""
    return lines[0] if lines else f"bwrap ended with status {result.status} and no message"


def refusal(why: str) -> InfraError:
    """The error for a series that cannot be confined on this host; its hint says what to do."""
    restricted = APPARMOR.is_file() and APPARMOR.read_text().strip() == "1"
    way_out = APPARMOR_WAY_OUT if restricted and os.geteuid() else WAYS_OUT
    return InfraError(f"a series cannot be confined here: {why}", hint=f"{way_out}; {UNCONFINED}")


def signal_of(status: int) -> int:
    """The signal that ended a command, from its status, to which bubblewrap and shells add 128;
    0 for none."""
    if status < 0:
        return -status
    return status - 128 if 128 < status <= 128 + signal.SIGRTMAX else 0


# --- the command line --------------------------------------------------------------------------


def confined(argv: Sequence[str], box: Box, *, root: bool) -> list[str]:
    """The command line of bubblewrap.

    For an ordinary user, bubblewrap makes a user namespace. For root it does not: root in such a
    namespace can still write root's files that it sees. Instead the command mounts, then changes to
    another uid. A second bubblewrap then forbids user namespaces, because in one the kernel would
    allow the command more.
    """
    words = _confined(argv, box, root=root)
    # A command on the user's own terminal could type into the user's shell (TIOCSTI).
    terminal = ("env", "SHELL=/bin/sh", "script", "--quiet", "--return", "--command")
    return [*terminal, shlex.join(words), "/dev/null"] if box.terminal else words


def _confined(argv: Sequence[str], box: Box, *, root: bool) -> list[str]:
    inner = [*box.limits.argv(), "env", *(f"{k}={v}" for k, v in _environment(box).items()), *argv]
    cwd = ("--chdir", str(box.cwd))
    session, mounts = [] if box.terminal else ["--new-session"], _mounts(box, Path(argv[0]))
    # bubblewrap is process 1 in the box, and a command can read its environment from /proc.
    outer = [
        "env",
        "--ignore-environment",
        f"PATH={PATH}",
        *_filtered([str(proc.find("bwrap")), *NAMESPACES]),
        *session,
    ]
    if not root:
        return [*outer, *NO_MORE_NAMESPACES, *mounts, *cwd, "--", *inner]
    capabilities = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
    identity = ("--reuid", str(UID), "--regid", str(UID), *_groups(box.device))
    return [
        *outer, *(word for name in capabilities for word in ("--cap-add", name)), *mounts,
        "--chdir", "/", "--",
        "setpriv", *identity, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--",
        "bwrap", *NO_MORE_NAMESPACES, "--cap-drop", "ALL", "--dev-bind", "/", "/",
        *cwd, "--", *inner,
    ]  # fmt: skip


def _filtered(bwrap: list[str]) -> list[str]:
    """bubblewrap with a seccomp filter, which it reads from a file descriptor."""
    if not (program := seccomp.program()):
        return bwrap
    text = base64.b64encode(program).decode()
    return ["bash", "-c", WITH_FILTER, text, *bwrap, "--seccomp", "9"]


def _environment(box: Box) -> dict[str, str]:
    return {"PATH": PATH, "HOME": "/tmp", "TMPDIR": "/tmp", "LC_ALL": "C.UTF-8", **box.env}


def _mounts(box: Box, program: Path) -> list[str]:
    words: list[str] = []
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            words += ["--ro-bind", name, name]
    words += ["--proc", "/proc", "--dev", "/dev", "--dir", "/run", "--dir", "/var"]
    for name in ("/tmp", "/var/tmp", "/dev/shm"):
        words += ["--perms", "1777", "--size", str(TMP_BYTES), "--tmpfs", name]
    words += ["--perms", "0755", "--dir", "/etc"]
    for name in SETTINGS:
        words += ["--ro-bind-try", name, name]
    binds = [("--ro-bind", path, path) for path in (*foreign(program), *box.read)]
    binds += [("--bind", path, path) for path in box.write]
    binds += [("--bind", path, place) for path, place in box.over]
    if box.device:
        binds.append(("--dev-bind", box.device, box.device))
    created: set[Path] = set()
    for option, path, place in binds:
        for parent in reversed(place.parents[:-1]):
            # By itself bubblewrap gives parents the mode of the source's. The uid that root changes
            # to could be unable to enter them.
            if parent not in created:
                words += ["--perms", "0755", "--dir", str(parent)]
            created.add(parent)
        words += [option, str(path), str(place)]
    return [*words, "--remount-ro", "/dev", "--remount-ro", "/"]


def foreign(program: Path) -> tuple[Path, ...]:
    """The program if it is outside the system's directories, such as a QEMU that the user built:
    the box must show it too."""
    return () if any(program.is_relative_to(top) for top in SYSTEM) else (program,)


def _groups(device: Path | None) -> list[str]:
    """setpriv's option for the group of the device: on Debian /dev/kvm has the group kvm."""
    if device is None or not device.exists():
        return ["--clear-groups"]
    return ["--groups", str(device.stat().st_gid)]


# --- files that go in and come out --------------------------------------------------------------


def give(path: Path, *, again: bool = False) -> None:
    """Let the command's user own a file or directory, if root runs the rig. `again`: change what is
    in it even if it is the owner already."""
    if os.geteuid() or (path.lstat().st_uid == UID and not again):
        return
    proc.run(["chown", "--recursive", "--no-dereference", f"{UID}:{UID}", path])


def take(top: Path, name: str, target: Path, most: int) -> None:
    """Copy a file that a command wrote to `target`. `top` is a directory that it was given.

    No symlink is followed, in any part of the path. Raises Left if it is not a regular file of at
    most `most` bytes.
    """
    with opened(top, name, most) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)


def read(top: Path, name: str, most: int) -> bytes:
    """The content of such a file; see take()."""
    with opened(top, name, most) as source:
        return source.read(most)


@contextlib.contextmanager
def opened(top: Path, name: str, most: int) -> Iterator[BinaryIO]:
    """Such a file, open for reading; see take()."""
    folders = [os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
    *parts, last = Path(name).parts
    try:
        try:
            for part in parts:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                folders.append(os.open(part, flags, dir_fd=folders[-1]))
            # O_NONBLOCK, because opening a FIFO would wait for a writer.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            file = os.fdopen(os.open(last, flags, dir_fd=folders[-1]), "rb")
        except OSError as error:
            raise Left(f"{name}, which the command should have left: {error.strerror}") from error
    finally:
        for folder in folders:
            os.close(folder)
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Left(f"{name}, which the command left, is not a regular file")
        if status.st_size > most:
            raise Left(
                f"{name}, which the command left, has {status.st_size} bytes; the limit is {most}"
            )
        yield file


def connected(path: Path) -> socket.socket:
    """A connection to a socket at which a command listens, in a directory that it was given.

    Raises OSError, also for a symlink: it could lead to any socket of the host.
    """
    place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(place).st_mode):
            raise ConnectionError(f"{path} is not a socket")
        connection = socket.socket(socket.AF_UNIX)
        try:
            # Without it, connect() would wait forever for a program that accepts no connection.
            connection.settimeout(10)
            connection.connect(f"/proc/self/fd/{place}")
            connection.settimeout(None)
        except OSError:
            connection.close()
            raise
        return connection
    finally:
        os.close(place)


def remove(path: Path) -> None:
    """Remove a directory that a command could write, however deep and with whatever modes."""
    if path.exists():
        proc.run(["chmod", "--recursive", "u+rwX", path], check=False)
        proc.run(["rm", "--recursive", "--force", path])


@contextlib.contextmanager
def scratch(directory: Path | None = None) -> Iterator[Path]:
    """A temporary directory for a command to write. remove() is used because a command can make
    directories that are too deep, or have no permissions, for those of Python's tempfile.
    """
    owners = frozenset() if os.geteuid() else frozenset({UID})
    with leftovers.made(directory or temporary(), remove, owners) as path:
        yield path


def temporary() -> Path:
    """$TMPDIR, or another directory if its path is too long for a socket in it, which has at most
    108 bytes (unix(7))."""
    usual = Path(tempfile.gettempdir())
    for parent in (usual, *map(Path, OTHERS)):
        if len(os.fsencode(parent)) <= LONGEST and os.access(parent, os.W_OK | os.X_OK):
            return parent
    raise InfraError(
        f"the path of {usual} is too long for a socket in it, and {OTHERS[0]} cannot be written",
        hint=f"set TMPDIR to a directory whose path has at most {LONGEST} bytes",
    )
