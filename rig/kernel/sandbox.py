# SPDX-License-Identifier: GPL-2.0-only
"""Where a stranger's code runs: it sees what it is given, writes where it is told, and no more.

Building a series runs its Makefiles and host scripts, and QEMU gives no guarantee of isolation
under TCG (QEMU's docs/system/security.rst). bubblewrap makes a place of its own for each command:
namespaces, a file system of a few mounts, no capabilities, no network, an environment of a few
variables. docs/security.md says what each boundary is and which test tries it.
"""

import contextlib
import functools
import os
import shlex
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from rig import proc
from rig.errors import BuildError, InfraError

UID = 65530
"""Who a command is where root runs the rig: in none of the ranges that systemd's and Debian's lists
of users give away, and below 65536, so that a container has it, too."""
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Programs and libraries: the toolchain, QEMU and what they are linked with."""
SETTINGS = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
"""What programs of /usr need: Debian's cc and awk are links through /etc/alternatives."""
NAMESPACES = (
    *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
    *("--die-with-parent", "--cap-drop", "ALL", "--clearenv", "--hostname", "rig"),
)
NO_MORE_NAMESPACES = ("--unshare-user", "--disable-userns")
TMP_BYTES = 4 << 30
GIB = 1024
"""Limits are in MiB."""
APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
APPARMOR_WAY_OUT = (
    "Ubuntu's AppArmor forbids user namespaces: `sudo apt-get install apparmor-profiles && sudo cp"
    " /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && sudo"
    " apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict` allows them to bubblewrap"
)
WAYS_OUT = "install bubblewrap 0.8 or newer, allow user namespaces, or run the rig in a VM as root"
UNCONFINED = "or take the risk with --unconfined, which the result will say"


class Left(BuildError):
    """What a command left behind is not what it should be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Of what a command may use; sizes in MiB."""

    memory: int = 8 * GIB
    """Address space of each process; the host's OOM killer looks for the box's first."""
    processes: int = field(default_factory=lambda: 1024 + 64 * proc.cpus())
    file: int = 4 * GIB
    """The largest file."""

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
    """What a command sees beside the system's programs, at the same path as outside."""

    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    """Files and directories; they are the command's to write."""
    over: tuple[tuple[Path, Path], ...] = ()
    """(directory, place): it is writable, and seen in that place."""
    device: Path | None = None
    cwd: Path = Path("/tmp")
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    terminal: bool = False
    """A person is at it: it has a terminal of its own, which script(1) leads to that person's."""


def command(argv: proc.Argv, box: Box, *, unconfined: bool = False) -> list[str]:
    """The command line that runs a command in the box.

    Where the sandbox does not work here, that of the command by itself if `unconfined` allows it;
    raises InfraError, with the ways out, if not.
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
    """The program that a command in the box finds by this name."""
    return shutil.which(name, path=PATH) or name


def broken() -> str:
    """Why the sandbox does not work on this host; empty where it does."""
    return _broken(proc.which("bwrap"))


@functools.cache
def _broken(bwrap: Path | None) -> str:
    """Once for each bubblewrap: a program is run in the box as any other is."""
    if bwrap is None:
        return "bubblewrap is not installed"
    tried = proc.run(
        confined([str(proc.find("true"))], Box(), root=os.geteuid() == 0), check=False, deadline=60
    )
    lines = (tried.stderr or tried.stdout).strip().splitlines()
    return "" if tried.status == 0 else lines[0] if lines else f"bwrap ended with {tried.status}"


def refusal(why: str) -> InfraError:
    """Why a stranger's series is not touched on this host, and the ways out."""
    restricted = APPARMOR.is_file() and APPARMOR.read_text().strip() == "1"
    way_out = APPARMOR_WAY_OUT if restricted and os.geteuid() else WAYS_OUT
    return InfraError(f"a series cannot be confined here: {why}", hint=f"{way_out}; {UNCONFINED}")


def signal_of(status: int) -> int:
    """The signal that ended a command, by its status: bubblewrap and shells add 128; 0 for none."""
    return -status if status < 0 else max(0, status - 128)


# --- the command line --------------------------------------------------------------------------


def confined(argv: Sequence[str], box: Box, *, root: bool) -> list[str]:
    """bubblewrap's command line.

    An ordinary user's bubblewrap makes a user namespace. Root's makes none, because in it root is
    still root to the files it sees. It mounts, and then gives up root's uid. A second bubblewrap
    then forbids user namespaces, in which the kernel would let a command do more.
    """
    words = _confined(argv, box, root=root)
    # What has the user's own terminal can type into it (TIOCSTI), and the user's shell obeys.
    own = ("env", "SHELL=/bin/sh", "script", "--quiet", "--return", "--command")
    return [*own, shlex.join(words), "/dev/null"] if box.terminal else words


def _confined(argv: Sequence[str], box: Box, *, root: bool) -> list[str]:
    inner = [*box.limits.argv(), "env", *(f"{k}={v}" for k, v in _environment(box).items()), *argv]
    cwd = ("--chdir", str(box.cwd))
    session, mounts = [] if box.terminal else ["--new-session"], _mounts(box, Path(argv[0]))
    # bubblewrap is process 1 in there, and what it was started with can be read from /proc.
    outer = [
        "env",
        "--ignore-environment",
        f"PATH={PATH}",
        str(proc.find("bwrap")),
        *NAMESPACES,
        *session,
    ]
    if not root:
        return [*outer, *NO_MORE_NAMESPACES, *mounts, *cwd, "--", *inner]
    kept = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
    other = ("--reuid", str(UID), "--regid", str(UID), *_groups(box.device))
    return [
        *outer, *(word for name in kept for word in ("--cap-add", name)), *mounts,
        "--chdir", "/", "--",
        "setpriv", *other, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--",
        "bwrap", *NO_MORE_NAMESPACES, "--cap-drop", "ALL", "--dev-bind", "/", "/",
        *cwd, "--", *inner,
    ]  # fmt: skip


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
    made: set[Path] = set()
    for how, path, place in binds:
        for parent in reversed(place.parents[:-1]):
            # bubblewrap by itself makes parents as closed as the source's are: the other uid of
            # root could not pass.
            if parent not in made:
                words += ["--perms", "0755", "--dir", str(parent)]
            made.add(parent)
        words += [how, str(path), str(place)]
    return [*words, "--remount-ro", "/dev", "--remount-ro", "/"]


def foreign(program: Path) -> tuple[Path, ...]:
    """A program that is none of the system's, such as a QEMU built by hand: it is seen, too."""
    return () if any(program.is_relative_to(top) for top in SYSTEM) else (program,)


def _groups(device: Path | None) -> list[str]:
    """The group that may use the device: /dev/kvm is root's and kvm's on Debian."""
    if device is None or not device.exists():
        return ["--clear-groups"]
    return ["--groups", str(device.stat().st_gid)]


# --- what passes in and out ---------------------------------------------------------------------


def give(path: Path, *, again: bool = False) -> None:
    """Make a file or directory the command's to write, where root gives up its uid; `again` where
    somebody else wrote there since."""
    if os.geteuid() or (path.lstat().st_uid == UID and not again):
        return
    proc.run(["chown", "--recursive", "--no-dereference", f"{UID}:{UID}", path])


def take(top: Path, name: str, target: Path, most: int) -> None:
    """Copy a file that a command left below `top`, a directory it was given, to `target`.

    Links are not followed, at no part of the path. Raises Left for what is no regular file
    of at most so many bytes.
    """
    with opened(top, name, most) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)


def read(top: Path, name: str, most: int) -> bytes:
    """The content of such a file."""
    with opened(top, name, most) as source:
        return source.read(most)


@contextlib.contextmanager
def opened(top: Path, name: str, most: int) -> Iterator[BinaryIO]:
    """Such a file, to be read."""
    folders = [os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
    *parts, last = Path(name).parts
    try:
        try:
            for part in parts:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                folders.append(os.open(part, flags, dir_fd=folders[-1]))
            # Or the open of a FIFO waits for somebody to write to it.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            file = os.fdopen(os.open(last, flags, dir_fd=folders[-1]), "rb")
        except OSError as error:
            raise Left(f"{name}, which should be left behind: {error.strerror}") from error
    finally:
        for folder in folders:
            os.close(folder)
    with file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise Left(f"{name}, which is left behind, is no regular file")
        if found.st_size > most:
            raise Left(f"{name}, which is left behind, has {found.st_size} bytes: over {most}")
        yield file


def connected(path: Path) -> socket.socket:
    """A connection to a socket that a command listens at, in a directory it was given.

    Raises OSError; a link in its place leads nowhere, or it would lead to any socket of the host.
    """
    place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(place).st_mode):
            raise ConnectionError(f"{path} is no socket")
        made = socket.socket(socket.AF_UNIX)
        try:
            made.settimeout(10)  # or connect() waits for one who listens and accepts nobody
            made.connect(f"/proc/self/fd/{place}")
            made.settimeout(None)
        except OSError:
            made.close()
            raise
        return made
    finally:
        os.close(place)


def remove(path: Path) -> None:
    """A directory that a command could write: whatever the depth and the modes of what is in it."""
    if path.exists():
        proc.run(["chmod", "--recursive", "u+rwX", path], check=False)
        proc.run(["rm", "--recursive", "--force", path])


@contextlib.contextmanager
def scratch(directory: Path | None = None) -> Iterator[Path]:
    """A directory that a command may write to, gone afterwards: what is in it may be deeper than
    Python's own can remove, or closed. Of a short name: a socket's must fit in 108 bytes (unix(7)).
    """
    made = Path(tempfile.mkdtemp(dir=directory, prefix="rig-"))
    try:
        yield made
    finally:
        remove(made)
