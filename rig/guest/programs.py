# SPDX-License-Identifier: GPL-2.0-only
"""The suites' programs: static C, compiled on the host for the guest's architecture."""

from pathlib import Path

from rig import log, proc
from rig.arch import Arch
from rig.errors import InfraError
from rig.guest import cpio
from rig.store import Store, digest, file_digest

# An address that no other static program uses: a breakpoint in ours must not stop another program,
# because each stop changes the schedule (rig/campaigns/replay.py).
PLACE = ("-no-pie", "-Wl,-Ttext-segment=0x20000000")
CFLAGS = (
    *("-std=gnu11", "-O2", "-g1", "-Wall", "-Wextra", "-Werror", "-static", "-pthread"),
    *PLACE,
)
LIBRARY = Path(__file__).parents[1] / "suites" / "guestlib"


def build(store: Store, arch: Arch, name: str, sources: Path) -> Path:
    """The program of a suite, from the C files in `sources` and the guest library."""
    files = sorted([*sources.glob("*.[ch]"), *LIBRARY.glob("*.[ch]")])
    compiler = arch.tool("gcc")
    inputs = {
        "program": name,
        "arch": arch.name,
        "compiler": proc.run([compiler, "--version"]).stdout.splitlines()[0],
        "flags": CFLAGS,
        "files": {f"{path.parent.name}/{path.name}": file_digest(path) for path in files},
    }

    def make(out: Path) -> None:
        with log.step(f"Compiling {name} for {arch.name}"):
            code = [path for path in files if path.suffix == ".c"]
            include: list[str | Path] = ["-I", LIBRARY, f"-ffile-prefix-map={sources.parent}=."]
            try:
                proc.run([compiler, *CFLAGS, *include, "-o", out / name, *code])
            except proc.CommandFailed as error:
                raise InfraError(
                    f"the guest program {name} does not compile for {arch.name}",
                    detail=error.detail,
                ) from error

    return store.make("programs", digest(inputs), inputs, make) / name


def pack(programs: tuple[Path, ...]) -> bytes:
    """The programs as an archive, to be appended to the image's."""
    return cpio.archive(
        cpio.file(f"rig/bin/{path.name}", path.read_bytes(), 0o755) for path in programs
    )
