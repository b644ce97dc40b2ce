# SPDX-License-Identifier: GPL-2.0-only
"""Every patch counts: a series has to build, without a new compiler warning, after each of them.

`git bisect` stops at any commit, so one that does not build costs somebody else a day
(Documentation/process/submitting-patches.rst, "Separate your changes").
"""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rig import git, proc
from rig.errors import BuildError, ConfigError
from rig.kernel import kbuild, sandbox
from rig.kernel.kbuild import BuildSpec, KernelBuild
from rig.kernel.sandbox import Box
from rig.kernel.tree import TreeSpec
from rig.store import Store

CHECKPATCH = "scripts/checkpatch.pl"
# It reads these from beside itself, and says so if they are not there.
BESIDE = ("scripts/spelling.txt", "scripts/const_structs.checkpatch")
TOTAL = re.compile(r"^total: (\d+) errors, (\d+) warnings", re.MULTILINE)
PLACE = re.compile(r":\d+(?::\d+)?:")


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A series as far as one of its patches, and what it is compared with."""

    whole: TreeSpec
    before: TreeSpec
    last: bool

    @property
    def name(self) -> str:
        patch = self.whole.own[-1]
        of = len(self.whole.series.patches) if self.whole.series else 0
        return f"patch {patch.number}/{of} ({patch.subject})"


def steps(spec: TreeSpec) -> Iterator[Step]:
    """One for each patch. Raises ConfigError for what has none."""
    if spec.series is None:
        raise ConfigError(
            f"{spec.label} is no series", hint="--each-patch is for SERIES@vN or ./series.mbx"
        )
    before, count = replace(spec, series=None, upto=None), len(spec.own)
    for number in range(1, count + 1):
        whole = spec if number == count else replace(spec, upto=number)
        yield Step(whole=whole, before=before, last=number == count)
        before = whole


def build(store: Store, wanted: BuildSpec, before: BuildSpec, step: Step) -> KernelBuild:
    """The kernel after a patch. Raises BuildError, which names the patch, if it does not compile or
    the compiler warns of something new."""
    old: KernelBuild | None = None
    with contextlib.suppress(BuildError):  # that is the fault of the patch before
        old = kbuild.build(store, before)
    try:
        new = kbuild.build(store, wanted)
    except BuildError as error:
        error.message = f"{step.name}: {error.message}"
        raise
    if old and (fresh := new_warnings(old.warnings, new.warnings)):
        raise BuildError(
            f"{step.name}: the compiler warns: {fresh[0]}", detail="\n".join(fresh[:40])
        )
    return new


def new_warnings(old: tuple[str, ...], new: tuple[str, ...]) -> list[str]:
    """Those that are not in `old`, whatever their line there."""
    known = Counter(PLACE.sub(":", text) for text in old)
    fresh = []
    for text in new:
        key = PLACE.sub(":", text)
        if known[key]:
            known[key] -= 1
        else:
            fresh.append(text)
    return fresh


def checkpatch(store: Store, step: Step | None, *, unconfined: bool = False) -> tuple[str, ...]:
    """What checkpatch says of the patch: the count, then its complaints; nothing of no patch.

    The base's checkpatch: the one that the earlier patches leave is the series' own program.
    """
    if step is None:
        return ()
    commit, repo = step.whole.base.commit, git.repository(store)
    with store.scratch() as scratch:
        (scratch / "scripts").mkdir()
        for name in (CHECKPATCH, *BESIDE):
            text = git.git("show", f"{commit}:{name}", cwd=repo, check=False)
            if not text.status:
                (scratch / name).write_text(text.stdout)
        script = scratch / CHECKPATCH
        if not script.is_file():
            return (f"{step.whole.base.name} has no {CHECKPATCH}",)
        argv = ["perl", str(script), "--no-tree", "--color=never", "--terse", "-"]
        box = Box(read=tuple((scratch / "scripts").iterdir()))
        command = sandbox.command(argv, box, unconfined=unconfined)
        done = proc.run(command, check=False, stdin=step.whole.own[-1].mail)
    said = done.stdout
    # --terse is --quiet, too: of a patch it likes it says nothing at all.
    if not done.status and not said.strip():
        return ("0 errors, 0 warnings",)
    if not (match := TOTAL.search(said)):
        return (f"{CHECKPATCH} said nothing that is understood",)
    complaints = [line.removeprefix("-:") for line in said.splitlines() if line.startswith("-:")]
    return (f"{match[1]} errors, {match[2]} warnings", *complaints)
