# SPDX-License-Identifier: GPL-2.0-only
"""Measures the rig's overhead over the bare tools: `python -m rig.cli.overhead`.

Both sides of a ratio are measured in turns, in one run on one machine, so that the ratio is useful
although the seconds vary. Prints the ratios and judges nothing.
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
    """A commit with one more line in mm/vmscan.c, each time another line."""
    with git.sparse_worktree(store, commit, (FILE,)) as work:
        with (work / FILE).open("a") as file:
            file.write(f"static const int rig_overhead __maybe_unused = {time.time_ns()};\n")
        git.git("commit", "--quiet", "-am", f"one line {number}", cwd=work)
        return git.text("rev-parse", "HEAD", cwd=work)


def build_spec(store: Store, kernel_tree: KernelTree, flavour: str = "base") -> BuildSpec:
    extra = tuple(declared.config for declared in suite.known().values())
    config = kbuild.fragments(Shelves.default().kconfigs, arch.pick(ARCH), flavour, extra)
    return BuildSpec(tree=kernel_tree, config=config)


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def rig_command(*words: str) -> Callable[[], object]:
    """Runs `rig …` in a process of its own, as a user does."""
    return lambda: proc.run([sys.executable, "-m", "rig", *words], deadline=3600)


@contextmanager
def outside(unconfined: bool) -> Iterator[None]:
    """If `unconfined`, pretend that the sandbox does not work, so that the rig runs without it."""
    reason = "measured without it" if unconfined else ""
    with mock.patch.object(sandbox, "broken", return_value=reason):
        yield


def make(store: Store, spec: BuildSpec, commit: str, unconfined: bool) -> float:
    """Seconds of make in the rig's lane, in the sandbox or not, without the checkout before it."""
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
    """`rig build` after a one-line change, against make; and `rig build` with nothing to do."""
    kernel_tree = tree.materialize(store, TreeSpec(base=base.resolve(store, base.DEFAULT)))
    spec = build_spec(store, kernel_tree)
    kbuild.build(store, spec)
    repo = str(git.repository(store))
    ours, bare, boxed, idle = [], [], [], []
    for number in range(rounds):
        commit = edited(store, kernel_tree.commit, number)
        words = ("build", commit, "--tree", repo, "--arch", ARCH, "--quiet")
        ours.append(timed(rig_command(*words)))
        idle.append(timed(rig_command(*words)))
        bare.append(make(store, spec, edited(store, kernel_tree.commit, number), unconfined=True))
        boxed.append(make(store, spec, edited(store, kernel_tree.commit, number), unconfined=False))
    return [
        ratio("rig build after a one-line change / make", ours, bare),
        ratio("make after a one-line change, in the sandbox / outside", boxed, bare),
        f"rig build with nothing to do: {statistics.median(idle):.2f} s",
    ]


def boots(store: Store, rounds: int, vng: str) -> list[str]:
    """Boot under TCG until the first answer over SSH, against virtme-ng that runs `true`."""
    kernel_tree = tree.materialize(store, TreeSpec(base=base.resolve(store, base.DEFAULT)))
    built = kbuild.build(store, build_spec(store, kernel_tree))
    for_vng = kbuild.build(store, build_spec(store, kernel_tree, flavour="vng"))
    rootfs = image.build(store, Shelves.default().images, "test", arch.pick(ARCH))
    host = Path("/proc/cpuinfo").read_text()
    machine = Machine(arch=ARCH, accel=Accel.TCG, cmdline=arch.pick(ARCH).tcg_cmdline(host))
    software = Software(kernel=built.image, initrd=(rootfs,))
    accel.choose(store, arch.pick(ARCH), "tcg")

    def ours(unconfined: bool = False) -> None:
        chosen = replace(software, unconfined=unconfined)
        with outside(unconfined), tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
            stack.enter_context(boot.boot(machine, chosen, Path(scratch))).run("true")

    # vng starts virtme-run, which is in the same directory.
    env = os.environ | {"PATH": f"{Path(vng).parent}:{os.environ['PATH']}"}

    def theirs() -> None:
        # A kernel without ACPI does not power off, and vng would wait for ever. After a reboot vng
        # has no status of the script, and exits with 255.
        command = ("--disable-kvm", "--cpus", "4", "--memory", "1G", "--", "true; reboot -f")
        result = proc.run([vng, "-r", for_vng.image, *command], env=env, deadline=600, check=False)
        if result.status not in (0, 255):
            raise InfraError(f"vng exited with status {result.status}", detail=result.stderr)

    rig_seconds, bare_seconds, vng_seconds = [], [], []
    for _ in range(rounds):
        rig_seconds.append(timed(ours))
        bare_seconds.append(timed(lambda: ours(unconfined=True)))
        vng_seconds.append(timed(theirs))
    return [
        ratio("boot, first answer, shutdown / vng running true", rig_seconds, vng_seconds),
        ratio("the same boot, in the sandbox / outside", rig_seconds, bare_seconds),
    ]


def ratio(title: str, ours: list[float], theirs: list[float]) -> str:
    our_median, their_median = statistics.median(ours), statistics.median(theirs)
    pairs = " ".join(f"{our:.2f}/{their:.2f}" for our, their in zip(ours, theirs, strict=True))
    medians = f"medians {our_median:.2f} s / {their_median:.2f} s"
    return f"{title}: {our_median / their_median:.2f} ({medians}; {pairs})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["builds", "boots"])
    parser.add_argument("--vng", default=str(Path(sys.executable).parent / "vng"))
    options = parser.parse_args()
    store = Store.default()
    lines: list[str] = []
    with reporter():
        if options.only != "boots":
            lines += builds(store, options.rounds)
        if options.only != "builds":
            lines += boots(store, options.rounds, options.vng)
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
