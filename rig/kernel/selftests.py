# SPDX-License-Identifier: GPL-2.0-only
"""Compiles a kernel tree's own tools/testing/selftests, static, with the tree's own Makefile.

The programs are from the tree under test, because a series may change them. So to compile them is
to run code of the series: that is done in the lane, in the same sandbox as the kernel's build.
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rig import git, log, proc
from rig.arch import Arch
from rig.errors import BuildError
from rig.kernel import builddir, buildhost, sandbox
from rig.kernel.builddir import Lane
from rig.kernel.kbuild import BuildSpec, owned, toolchain
from rig.store import Store, digest, host_trouble

FOLDER = "tools/testing/selftests"
EXPORT = (FOLDER, "tools/include", "tools/scripts", "tools/build", "tools/arch", "scripts",
          "mm/gup_test.h")  # fmt: skip
"""What the Makefiles and sources of the selftests use, besides the headers for user space."""
HEADERS = ("include/uapi", "{arch}/include/uapi", "{arch}/entry/syscalls", "{arch}/tools")
"""The headers for user space are made from these; not every architecture has all of them."""
LDFLAGS = "-static -s"
TARGET = "rig-list"
LIST = "$(notdir $(TEST_GEN_PROGS) $(TEST_GEN_FILES))"
STOPPED = re.compile(r"make(?:\[\d+\])?: \*\*\* \[.*?([^/\] ]+)\] Error ")
COMPLAINT = re.compile(r"\b(?:fatal )?error: |undefined reference to|cannot find -l")
REASON_MAX, PROGRAM_MAX = 200, 32 << 20
WORK = "selftests"
"""In the O= directory, which make writes. The rig itself writes there only by commands in the
sandbox."""


def build(
    store: Store, spec: BuildSpec, folder: str, names: Sequence[str], others: Sequence[str] = ()
) -> tuple[Path, ...]:
    """The programs `names` of selftests/`folder`. A note names those that the tree has and that are
    neither in `names` nor in `others`.

    For a program that the tree does not have, or that does not compile, there is a script that
    prints the reason in KTAP. So it is reported as skipped.
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
            present, missing = _make(spec, held, tar, folder, names, out)
            if unlisted := sorted({*present} - {*names, *others}):
                what = f"{spec.tree.label} has selftests that our list does not have"
                step.note(f"{what}: {', '.join(unlisted)}")
        for name, why in missing.items():
            (out / name).write_text(stub(why))
        return {"missing": missing, "unlisted": unlisted}

    entry = store.make("selftests", digest(inputs), inputs, make)
    return tuple(entry / name for name in names)


def stub(why: str) -> str:
    """A script that reports itself as skipped."""
    return f"#!/bin/sh\ncat <<'END'\nTAP version 13\n1..0 # SKIP {why}\nEND\nexit 4\n"


def _trees(store: Store, spec: BuildSpec) -> dict[str, str]:
    """Path -> git's hash, of everything that the programs are made from."""
    arch_directory = "/".join(Path(spec.config.arch.image).parts[:2])
    paths = (*EXPORT, *(path.format(arch=arch_directory) for path in HEADERS))
    listed = git.text("ls-tree", spec.tree.commit, *paths, cwd=git.repository(store))
    hashes = {path: words.split()[2] for words, path in
             (line.split("\t") for line in listed.splitlines())}  # fmt: skip
    if FOLDER not in hashes:
        raise BuildError(f"{spec.tree.label} has no {FOLDER}")
    return hashes


def _make(
    spec: BuildSpec, held: Lane, tar: Path, folder: str, names: Sequence[str], out: Path
) -> tuple[list[str], dict[str, str]]:
    """Compile to `out`. Returns the programs that the tree has, and the reason for each of `names`
    that could not be made."""
    work = held.place / "out" / WORK

    def run(*words: str) -> proc.Done:
        command = sandbox.command(words, held.box(tar), unconfined=spec.may_escape)
        return proc.run(command, check=False, deadline=1800)

    try:
        with held.making():
            checked = partial(_checked, spec.config.arch)
            checked(run("rm", "-rf", str(work)))
            checked(run("mkdir", "-p", str(work / "bin")))
            checked(run(*builddir.make_command(spec.config.arch, held.place, "headers")))
            checked(run("tar", "-xf", str(tar), "-C", str(work)))
            make = _command(spec, held.place, work, folder)
            output = checked(run(*make, f"--eval={TARGET}: ; @echo {TARGET} {LIST}", TARGET))
            present = output.rpartition(TARGET)[2].split()
            targets = [str(work / "bin" / name) for name in names if name in present]
            result = run(*make, *targets)
            if result.status and (fault := buildhost.fault(spec.config.arch, *_ending(result))):
                raise fault
        output = f"{result.stdout}{result.stderr}".replace(f"{work}/", "")
        missing = _keep(spec, held.out, names, present, complaints(output), out)
        (out / "make.log").write_text(output)
        return present, missing
    finally:
        run("rm", "-rf", str(work))


def _keep(
    spec: BuildSpec,
    built: Path,
    names: Sequence[str],
    present: Sequence[str],
    why: dict[str, str],
    out: Path,
) -> dict[str, str]:
    """Copy the programs to `out`. Returns the reason for each that cannot be copied."""
    missing = {}
    for name in names:
        if name not in present:
            missing[name] = f"{spec.tree.label} has no {name} for {spec.config.arch.name}"
            continue
        try:
            if name in why:
                raise sandbox.Left(why[name])
            sandbox.take(built, f"{WORK}/bin/{name}", out / name, PROGRAM_MAX)
            (out / name).chmod(0o755)
        except sandbox.Left:
            (out / name).unlink(missing_ok=True)
            reason = why.get(name, "no output from make")
            missing[name] = f"does not compile in {spec.tree.label}: {reason}"
    return missing


def _checked(arch: Arch, result: proc.Done) -> str:
    if result.status:
        output, status = _ending(result)
        failure = BuildError("the selftests cannot be built", detail=output[-3000:])
        raise buildhost.fault(arch, output, status) or failure
    return result.stdout


def _ending(result: proc.Done) -> tuple[str, int]:
    return f"{result.stdout}{result.stderr}"[-30000:], result.status


def _command(spec: BuildSpec, place: Path, work: Path, folder: str) -> list[str]:
    arch = spec.config.arch
    settings = {
        "OUTPUT": str(work / "bin"),
        "ARCH": arch.kernel,
        "CROSS_COMPILE": "" if arch.is_host() else arch.cross,
        "KHDR_INCLUDES": f"-isystem {place / 'out' / 'usr' / 'include'}",
        "LDFLAGS": LDFLAGS,
    }
    assignments = [f"{key}={value}" for key, value in settings.items()]
    # -O: the output of each target in one piece; -k: go on after an error.
    options = ["-s", "-k", "-O", "--no-print-directory", f"-j{builddir.jobs()}"]
    return ["make", "-C", str(work / FOLDER / folder), *options, *assignments]


def complaints(output: str) -> dict[str, str]:
    """Target -> the first error of compiler or linker, from the output of make -k -O."""
    reasons: dict[str, str] = {}
    pending = ""
    for line in output.splitlines():
        if stopped := STOPPED.search(line):
            reasons[stopped[1]] = (pending or line.strip())[:REASON_MAX]
            pending = ""
        elif not pending and COMPLAINT.search(line):
            pending = line.strip()
    return reasons
