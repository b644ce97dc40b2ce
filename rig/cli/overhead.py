# SPDX-License-Identifier: GPL-2.0-only
"""What the rig costs beside the bare tools: `python -m rig.cli.overhead`.

Both sides of a ratio are taken in turns in one run, on one machine, so that it holds where the
seconds do not. Prints a table; judges nothing.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

from rig import arch, git, proc
from rig.cli.progress import reporter
from rig.errors import InfraError
from rig.guest import accel, boot, image
from rig.guest.qemu import Accel, Machine
from rig.guest.software import Software
from rig.kernel import base, builddir, kbuild, sandbox, tree
from rig.kernel.kbuild import BuildSpec
from rig.kernel.tree import KernelTree, TreeSpec
from rig.shelves import Shelves
from rig.store import Store
from rig.suites import suite

FILE = "mm/vmscan.c"
ARCH = "x86_64"


def edited(store: Store, commit: str, number: int) -> str:
    """The tree with one line more in mm/vmscan.c, never the same line twice."""
    with git.sparse_worktree(store, commit, (FILE,)) as work:
        with (work / FILE).open("a") as file:
            file.write(f"static const int rig_overhead __maybe_unused = {time.time_ns()};\n")
        git.git("commit", "--quiet", "-am", f"one line {number}", cwd=work)
        return git.text("rev-parse", "HEAD", cwd=work)


def build_spec(store: Store, known: KernelTree, flavour: str = "base") -> BuildSpec:
    extra = tuple(one.config for one in suite.known().values())
    config = kbuild.fragments(Shelves.default().kconfigs, arch.pick(ARCH), flavour, extra)
    return BuildSpec(tree=known, config=config)


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def rig_command(*words: str) -> Callable[[], object]:
    """`rig …` as a user types it: a process of its own."""
    return lambda: proc.run([sys.executable, "-m", "rig", *words], deadline=3600)


@contextmanager
def outside(unconfined: bool) -> Iterator[None]:
    """Where the sandbox is said not to work, the rig does without it if it may."""
    why = "measured without it" if unconfined else ""
    with mock.patch.object(sandbox, "broken", return_value=why):
        yield


def make(store: Store, spec: BuildSpec, commit: str, unconfined: bool) -> float:
    """make in the rig's own lane, in its sandbox or not, after a checkout that is not counted."""
    with builddir.held(store, spec.lane, spec.tree) as held:
        git.git("checkout", "--quiet", "--force", "--detach", commit, cwd=held.source)
        (held.place / "checked-out").write_text(commit)
        arch = spec.config.arch
        words = builddir.make_command(arch, held.place, arch.target, "vmlinux")
        with outside(unconfined):
            command = sandbox.command(words, held.box(), unconfined=unconfined)
        try:
            return timed(lambda: proc.run(command, deadline=3600))
        finally:
            sandbox.give(held.out, again=True)


def builds(store: Store, rounds: int) -> list[str]:
    """A one-line change: `rig build` against make; and nothing to do."""
    known = tree.materialize(store, TreeSpec(base=base.resolve(store, base.DEFAULT)))
    spec = build_spec(store, known)
    kbuild.build(store, spec)
    repo = str(git.repository(store))
    ours, bare, boxed, idle = [], [], [], []
    for number in range(rounds):
        commit = edited(store, known.commit, number)
        words = ("build", commit, "--tree", repo, "--arch", ARCH, "--quiet")
        ours.append(timed(rig_command(*words)))
        idle.append(timed(rig_command(*words)))
        bare.append(make(store, spec, edited(store, known.commit, number), unconfined=True))
        boxed.append(make(store, spec, edited(store, known.commit, number), unconfined=False))
    return [
        ratio("rig build after a one-line change / make", ours, bare),
        ratio("make after a one-line change, in the sandbox / outside", boxed, bare),
        f"rig build with nothing to do: {statistics.median(idle):.2f} s",
    ]


def boots(store: Store, rounds: int, vng: str) -> list[str]:
    """Boot to the first answer over SSH under TCG, against virtme-ng running `true`."""
    known = tree.materialize(store, TreeSpec(base=base.resolve(store, base.DEFAULT)))
    built = kbuild.build(store, build_spec(store, known))
    for_vng = kbuild.build(store, build_spec(store, known, flavour="vng"))
    rootfs = image.build(store, Shelves.default().images, "test", arch.pick(ARCH))
    host = Path("/proc/cpuinfo").read_text()
    machine = Machine(arch=ARCH, accel=Accel.TCG, cmdline=arch.pick(ARCH).tcg_cmdline(host))
    software = Software(kernel=built.image, initrd=(rootfs,))
    accel.choose(store, arch.pick(ARCH), "tcg")

    def ours(unconfined: bool = False) -> None:
        chosen = replace(software, unconfined=unconfined)
        with outside(unconfined), tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
            stack.enter_context(boot.boot(machine, chosen, Path(scratch))).run("true")

    # vng calls virtme-run, which is beside it.
    env = os.environ | {"PATH": f"{Path(vng).parent}:{os.environ['PATH']}"}

    def theirs() -> None:
        # A kernel without ACPI does not power off, and vng would wait for ever. Rebooted, the guest
        # is gone before it has handed over the script's status, which vng makes a 255 of.
        command = ("--disable-kvm", "--cpus", "4", "--memory", "1G", "--", "true; reboot -f")
        done = proc.run([vng, "-r", for_vng.image, *command], env=env, deadline=600, check=False)
        if done.status not in (0, 255):
            raise InfraError(f"vng ended with status {done.status}", detail=done.stderr)

    rig_seconds, bare_seconds, vng_seconds = [], [], []
    for _ in range(rounds):
        rig_seconds.append(timed(ours))
        bare_seconds.append(timed(lambda: ours(unconfined=True)))
        vng_seconds.append(timed(theirs))
    return [
        ratio("boot to the first answer and away / vng running true", rig_seconds, vng_seconds),
        ratio("the same boot, in the sandbox / outside", rig_seconds, bare_seconds),
    ]


def ratio(what: str, ours: list[float], theirs: list[float]) -> str:
    mine, other = statistics.median(ours), statistics.median(theirs)
    pairs = " ".join(f"{a:.2f}/{b:.2f}" for a, b in zip(ours, theirs, strict=True))
    return f"{what}: {mine / other:.2f} (medians {mine:.2f} s / {other:.2f} s; {pairs})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["builds", "boots"])
    parser.add_argument("--vng", default=str(Path(sys.executable).parent / "vng"))
    asked = parser.parse_args()
    store = Store.default()
    lines: list[str] = []
    with reporter():
        if asked.only != "boots":
            lines += builds(store, asked.rounds)
        if asked.only != "builds":
            lines += boots(store, asked.rounds, asked.vng)
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
