# SPDX-License-Identifier: GPL-2.0-only
"""The programs of a kernel tree's own tools/testing/selftests, static, by the tree's own Makefile.

They are compiled from the tree under test, because a series may change them. That makes compiling
them running the series: it happens where the kernel is built, in the lane, under its sandbox.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from rig import git, log, proc
from rig.errors import BuildError
from rig.kernel import builddir, sandbox
from rig.kernel.builddir import Lane
from rig.kernel.kbuild import BuildSpec, owned, toolchain
from rig.store import Store, digest, host_trouble

FOLDER = "tools/testing/selftests"
EXPORT = (FOLDER, "tools/include", "tools/scripts", "tools/build", "tools/arch", "scripts",
          "mm/gup_test.h")  # fmt: skip
"""What the selftests' Makefiles and sources reach for, beside the headers for user space."""
HEADERS = ("include/uapi", "{arch}/include/uapi", "{arch}/entry/syscalls", "{arch}/tools")
"""What the headers for user space are made from; not every architecture has all of it."""
LDFLAGS = "-static -s"
TARGET = "rig-list"
LIST = "$(notdir $(TEST_GEN_PROGS) $(TEST_GEN_FILES))"
STOPPED = re.compile(r"make(?:\[\d+\])?: \*\*\* \[.*?([^/\] ]+)\] Error ")
COMPLAINT = re.compile(r"\b(?:fatal )?error: |undefined reference to|cannot find -l")
REASON_MAX, PROGRAM_MAX = 200, 32 << 20
WORK = "selftests"
"""In the O= directory: make writes it, and so only a command in the sandbox does."""


def build(
    store: Store, spec: BuildSpec, folder: str, names: Sequence[str], known: Sequence[str] = ()
) -> tuple[Path, ...]:
    """The programs of selftests/`folder`, by name; `known` is which others the tree may have.

    In place of one that the tree does not have, or that does not compile, comes a script which says
    so in KTAP: nobody is left out in silence.
    """
    arch, names = spec.config.arch, sorted(set(names))
    made_of = {
        "trees": _trees(store, spec),
        "arch": arch.name,
        "compiler": toolchain(arch),
        "flags": LDFLAGS,
        "folder": folder,
        "names": names,
    }
    inputs = owned(store, "selftests", made_of, spec.tree)

    def make(out: Path) -> dict[str, object]:
        with (
            builddir.held(store, spec.lane, spec.tree) as held,
            store.scratch() as scratch,
            log.step(f"Compiling selftests/{folder} of {spec.tree.label} for {arch.name}") as step,
            host_trouble("building selftests"),
        ):
            tar = scratch / "export.tar"
            git.git("archive", "-o", tar, spec.tree.commit, *EXPORT, cwd=git.repository(store))
            there, missing = _make(spec, held, tar, folder, names, out)
            if other := sorted({*there} - {*names, *known}):
                step.note(f"{spec.tree.label} has more than the list knows: {', '.join(other)}")
        for name, why in missing.items():
            (out / name).write_text(stub(why))
        return {"missing": missing, "unlisted": other}

    entry = store.make("selftests", digest(inputs), inputs, make)
    return tuple(entry / name for name in names)


def stub(why: str) -> str:
    """A program that skips itself."""
    return f"#!/bin/sh\ncat <<'END'\nTAP version 13\n1..0 # SKIP {why}\nEND\nexit 4\n"


def _trees(store: Store, spec: BuildSpec) -> dict[str, str]:
    """What the programs are made from, by git's hash of it."""
    here = "/".join(Path(spec.config.arch.image).parts[:2])
    paths = (*EXPORT, *(path.format(arch=here) for path in HEADERS))
    listed = git.text("ls-tree", spec.tree.commit, *paths, cwd=git.repository(store))
    found = {path: words.split()[2] for words, path in
             (line.split("\t") for line in listed.splitlines())}  # fmt: skip
    if FOLDER not in found:
        raise BuildError(f"{spec.tree.label} has no {FOLDER}")
    return found


def _make(
    spec: BuildSpec, held: Lane, tar: Path, folder: str, names: Sequence[str], out: Path
) -> tuple[list[str], dict[str, str]]:
    """Which programs the tree has, and why some of `names` are not in `out` afterwards."""
    work = held.place / "out" / WORK

    def run(*words: str) -> proc.Done:
        command = sandbox.command(words, held.box(tar), unconfined=spec.may_escape)
        return proc.run(command, check=False, deadline=1800)

    try:
        with held.making():
            _checked(run("rm", "-rf", str(work)))
            _checked(run("mkdir", "-p", str(work / "bin")))
            _checked(run(*builddir.make_command(spec.config.arch, held.place, "headers")))
            _checked(run("tar", "-xf", str(tar), "-C", str(work)))
            make = _command(spec, held.place, work, folder)
            said = _checked(run(*make, f"--eval={TARGET}: ; @echo {TARGET} {LIST}", TARGET))
            there = said.rpartition(TARGET)[2].split()
            targets = [str(work / "bin" / name) for name in names if name in there]
            done = run(*make, *targets)
        said = f"{done.stdout}{done.stderr}".replace(f"{work}/", "")
        missing = _keep(spec, held.out, names, there, complaints(said), out)
        (out / "make.log").write_text(said)
        return there, missing
    finally:
        run("rm", "-rf", str(work))


def _keep(
    spec: BuildSpec,
    made: Path,
    names: Sequence[str],
    there: Sequence[str],
    why: dict[str, str],
    out: Path,
) -> dict[str, str]:
    """Copy the programs to `out`; why some are not there."""
    missing = {}
    for name in names:
        if name not in there:
            missing[name] = f"{spec.tree.label} has no {name} for {spec.config.arch.name}"
            continue
        try:
            if name in why:
                raise sandbox.Left(why[name])
            sandbox.take(made, f"{WORK}/bin/{name}", out / name, PROGRAM_MAX)
            (out / name).chmod(0o755)
        except sandbox.Left:
            (out / name).unlink(missing_ok=True)
            said = why.get(name, "make says nothing")
            missing[name] = f"does not compile in {spec.tree.label}: {said}"
    return missing


def _checked(done: proc.Done) -> str:
    if done.status:
        said = f"{done.stdout}{done.stderr}"[-3000:]
        raise BuildError("the selftests cannot be built", detail=said)
    return done.stdout


def _command(spec: BuildSpec, place: Path, work: Path, folder: str) -> list[str]:
    arch = spec.config.arch
    settings = {
        "OUTPUT": str(work / "bin"),
        "ARCH": arch.kernel,
        "CROSS_COMPILE": "" if arch.is_host() else arch.cross,
        "KHDR_INCLUDES": f"-isystem {place / 'out' / 'usr' / 'include'}",
        "LDFLAGS": LDFLAGS,
    }
    words = [f"{key}={value}" for key, value in settings.items()]
    # -O: one target's output in one piece; -k: as many as can be had.
    options = ["-s", "-k", "-O", "--no-print-directory", f"-j{builddir.jobs()}"]
    return ["make", "-C", str(work / FOLDER / folder), *options, *words]


def complaints(said: str) -> dict[str, str]:
    """Target -> the first thing the compiler or linker has against it, from make -k -O."""
    found: dict[str, str] = {}
    pending = ""
    for line in said.splitlines():
        if stopped := STOPPED.search(line):
            found[stopped[1]] = (pending or line.strip())[:REASON_MAX]
            pending = ""
        elif not pending and COMPLAINT.search(line):
            pending = line.strip()
    return found
