# SPDX-License-Identifier: GPL-2.0-only
"""--each-patch: a series must build, without a new warning, after each of its patches.

`git bisect` stops at any commit, so a patch that does not build costs somebody else a day
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
# checkpatch reads these from its own directory, and warns if they are missing.
BESIDE = ("scripts/spelling.txt", "scripts/const_structs.checkpatch")
TOTAL = re.compile(r"^total: (\d+) errors, (\d+) warnings", re.MULTILINE)
MOVES = re.compile(
    r"(?<=:)\d[\d.:-]*:"  # line and column; dtc's are 12.3-15
    r"|(?<=\+)0x[0-9a-f]+|(?<=\.)\d+(?=[^\w.])"  # an offset in a function; the 0 of f.isra.0
    r"|(?<=frame size of )\d+|/tmp/cc\w+"
)
"""Parts of a warning that change when other code changes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A series up to one of its patches, and the tree before that patch."""

    whole: TreeSpec
    before: TreeSpec
    last: bool

    @property
    def name(self) -> str:
        patch = self.whole.own[-1]
        of = len(self.whole.series.patches) if self.whole.series else 0
        return f"patch {patch.number}/{of} ({patch.subject})"


def steps(spec: TreeSpec) -> Iterator[Step]:
    """A step for each patch. Raises ConfigError if the tree has no series."""
    if spec.series is None:
        raise ConfigError(
            f"--each-patch needs a series, and {spec.label} is not a series",
            hint="SERIES@vN, or ./series.mbx",
        )
    before, count = spec.beneath, len(spec.own)
    for number in range(1, count + 1):
        whole = spec if number == count else replace(spec, upto=number)
        yield Step(whole=whole, before=before, last=number == count)
        before = whole


def build(store: Store, after: BuildSpec, before: BuildSpec, step: Step) -> KernelBuild:
    """The kernel after a patch.

    Raises BuildError, which names the patch, if it does not compile or has a new warning.
    """
    old: tuple[str, ...] | None = None
    with contextlib.suppress(BuildError):  # the fault of an earlier patch, which has a step too
        old = kbuild.all_warnings(store, before, kbuild.build(store, before))
    try:
        built = kbuild.build(store, after)
        new = kbuild.all_warnings(store, after, built)
    except BuildError as error:
        error.message = f"{step.name}: {error.message}"
        raise
    if old is not None and (fresh := new_warnings(old, new)):
        raise BuildError(f"{step.name}: a new warning: {fresh[0]}", detail="\n".join(fresh[:40]))
    return replace(built, warnings=new)


def new_warnings(old: tuple[str, ...], new: tuple[str, ...]) -> list[str]:
    """The warnings that are not in `old`; line numbers are ignored.

    Both have all warnings of a kernel, each place once. The number of files that include a header
    says nothing about the header.
    """
    counts = Counter(MOVES.sub("", text) for text in set(old))
    fresh = []
    for text in sorted(set(new)):
        key = MOVES.sub("", text)
        if counts[key]:
            counts[key] -= 1
        else:
            fresh.append(text)
    return fresh


def checkpatch(store: Store, step: Step | None, *, unconfined: bool = False) -> tuple[str, ...]:
    """checkpatch's counts for the patch of a step, then its complaints; empty without a step.

    It is the checkpatch of the base: after earlier patches it could be changed by the series.
    """
    if step is None:
        return ()
    commit, repo = step.whole.base.commit, git.repository(store)
    with store.scratch() as scratch:
        (scratch / "scripts").mkdir()
        for name in (CHECKPATCH, *BESIDE):
            blob = git.git("show", f"{commit}:{name}", cwd=repo, check=False)
            if not blob.status:
                (scratch / name).write_text(blob.stdout)
        script = scratch / CHECKPATCH
        if not script.is_file():
            return (f"{step.whole.base.name} has no {CHECKPATCH}",)
        argv = ["perl", str(script), "--no-tree", "--color=never", "--terse", "-"]
        box = Box(read=tuple((scratch / "scripts").iterdir()))
        command = sandbox.command(argv, box, unconfined=unconfined)
        result = proc.run(command, check=False, stdin=step.whole.own[-1].mail)
    output = result.stdout
    # --terse implies --quiet: checkpatch prints nothing about a patch without complaints.
    if not result.status and not output.strip():
        return ("0 errors, 0 warnings",)
    if not (match := TOTAL.search(output)):
        return (f"{CHECKPATCH} ended with status {result.status} and printed no total",)
    complaints = [line.removeprefix("-:") for line in output.splitlines() if line.startswith("-:")]
    return (f"{match[1]} errors, {match[2]} warnings", *complaints)
