# SPDX-License-Identifier: GPL-2.0-only
"""A series patch by patch, on tests/data's kernel in miniature."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rig import arch, git
from rig.campaigns import each_patch, pipeline
from rig.campaigns.each_patch import Step
from rig.campaigns.results import Prepared
from rig.errors import BuildError, ConfigError
from rig.kernel import kconfig, tree
from rig.kernel.base import Base
from rig.kernel.kbuild import BuildSpec, KernelConfig
from rig.kernel.tree import TreeSpec
from rig.series import model, rfc822, vetting
from rig.series.model import SeriesVersion
from rig.store import Store
from rig.verdict.rules import Outcome

SHELF = Path(__file__).parents[2] / "data" / "mbx" / "shelf"
HOST = next(facts for facts in arch.known().values() if facts.is_host())
SMP = kconfig.parse_fragment("base.config", "CONFIG_SMP=y\n# CONFIG_DEBUG_VM is not set\n")
CONFIG = KernelConfig(arch=HOST, flavour="base", requested=SMP.settings)


MEND = b"\n".join(
    (
        b"diff --git a/mm/rmap.c b/mm/rmap.c",
        b"--- a/mm/rmap.c",
        b"+++ b/mm/rmap.c",
        b"@@ -10,3 +10,3 @@",
        b" \ttlb_ubc.flush_required = 1;",
        b"-\ttlb_ubc.pendinf++;",
        b"+\ttlb_ubc.pending++;",
        b" }\n",
    )
)


@pytest.fixture
def v2() -> SeriesVersion:
    return model.load(SHELF, "unmap-batch", 2)


@pytest.fixture
def built(store: Store, base: Base) -> Callable[[SeriesVersion, int], None]:
    """Build a series as far as a patch, with what it is compared with."""

    def build(series: SeriesVersion, number: int) -> None:
        step = list(each_patch.steps(TreeSpec(base=base, series=series)))[number - 1]
        patches = [
            BuildSpec(tree=tree.materialize(store, spec), config=CONFIG)
            for spec in (step.whole, step.before)
        ]
        each_patch.build(store, *patches, step)

    return build


def changed(series: SeriesVersion, number: int, old: bytes, new: bytes) -> SeriesVersion:
    patches = list(series.patches)
    patch = patches[number - 1]
    assert old in patch.mail
    mail = patch.mail.replace(old, new)
    names = vetting.whole(rfc822.body_of(mail), "patch", last=False)
    patches[number - 1] = replace(patch, mail=mail, files=names)
    return replace(series, patches=tuple(patches))


def test_the_steps_of_a_series(base: Base, v2: SeriesVersion) -> None:
    steps = list(each_patch.steps(TreeSpec(base=base, series=v2)))
    assert [(step.before.label, step.whole.label, step.last) for step in steps] == [
        ("v6.12", "unmap-batch@v2:1 on v6.12", False),
        ("unmap-batch@v2:1 on v6.12", "unmap-batch@v2:2 on v6.12", False),
        ("unmap-batch@v2:2 on v6.12", "unmap-batch@v2 on v6.12", True),
    ]
    assert steps[1].name == "patch 2/3 (mm/vmscan: flush once a batch)"
    (only,) = each_patch.steps(TreeSpec(base=base, series=v2, upto=1))
    assert (only.whole.label, only.last) == ("unmap-batch@v2:1 on v6.12", True)
    with pytest.raises(ConfigError, match=r"v6\.12 is not a series"):
        list(each_patch.steps(TreeSpec(base=base)))


def test_a_series_below_is_built_as_a_strangers(
    store: Store, base: Base, v2: SeriesVersion
) -> None:
    """Its patches are in the tree before the first patch, which must not pass for the base."""
    below = replace(v2, name="below")
    first, *_ = each_patch.steps(TreeSpec(base=base, series=v2, below=(below,)))
    assert first.before == TreeSpec(base=base, series=below)
    assert first.before.patches == below.patches
    assert tree.materialize(store, first.before).series != ""


def test_every_patch_builds(v2: SeriesVersion, built: Callable[[SeriesVersion, int], None]) -> None:
    for number in (1, 2, 3):
        built(v2, number)


def test_a_patch_that_does_not_build_is_named(
    v2: SeriesVersion, built: Callable[[SeriesVersion, int], None]
) -> None:
    broken = changed(v2, 1, b"+\ttlb_ubc.pending++;", b"+\ttlb_ubc.pendinf++;")
    with pytest.raises(BuildError, match=r"^patch 1/3 \(mm/rmap: count what is pending\): ") as bad:
        built(broken, 1)
    assert "has no member named ‘pendinf’" in bad.value.message
    mended = changed(broken, 2, b"diff --git a/mm/batch.c", MEND + b"diff --git a/mm/batch.c")
    built(mended, 2)


def test_a_new_warning_is_a_failure(
    v2: SeriesVersion, built: Callable[[SeriesVersion, int], None]
) -> None:
    warns = changed(v2, 2, b"+#define BATCH 31", b"+static int BATCH = 31, unused;")
    with pytest.raises(BuildError, match=r"^patch 2/3 .*: a new warning: mm/vmscan\.c:"):
        built(warns, 2)


@pytest.mark.parametrize("path", ["include/linux/mm.h", "init.c", "mm/rmap.c"])
def test_no_patch_is_blamed_for_a_warning_that_the_base_has(
    store: Store, base: Base, kernel: Path, v2: SeriesVersion, path: str
) -> None:
    """Whatever each make compiles. Patch 2 compiles more files with the header than patch 1; an
    edit of the header compiles init.c, which patch 3 did not."""
    (kernel / path).write_text((kernel / path).read_text() + "#warning old\n")
    old = replace(base, commit=git.import_tree(store, kernel, "v6.12\n"))
    for step in each_patch.steps(TreeSpec(base=old, series=v2)):
        after, before = (
            BuildSpec(tree=tree.materialize(store, spec), config=CONFIG)
            for spec in (step.whole, step.before)
        )
        assert len(each_patch.build(store, after, before, step).warnings) == 1
    header = kernel / "include/linux/mm.h"
    header.write_text(header.read_text() + "\n")
    changed = replace(base, commit=git.import_tree(store, kernel, "v6.12\n"))
    last = replace(after, tree=tree.materialize(store, TreeSpec(base=changed)))
    assert each_patch.build(store, last, after, step)


@pytest.mark.parametrize(
    ("old", "new", "fresh"),
    [
        ((), (), 0),
        ((), ("mm/a.c:1:2: warning: x",), 1),
        (("mm/a.c:1:2: warning: x",), ("mm/a.c:9:2: warning: x",), 0),
        (("mm/a.c:1:2: warning: x",), ("mm/a.c:1:2: warning: x", "mm/a.c:7:2: warning: x"), 1),
        (("mm/a.c:1:2: warning: x",), ("mm/b.c:1:2: warning: x",), 1),
        (("mm/a.c:1:2: warning: x",), (), 0),
        (("mm/a.h:1:2: warning: x",), ("mm/a.h:4:2: warning: x",) * 3, 0),
        (
            ("mm/a.o: warning: objtool: f.isra.0+0x5: unreachable instruction",),
            ("mm/a.o: warning: objtool: f.isra.1+0x1c: unreachable instruction",),
            0,
        ),
        (
            ("x.dts:12.3-15: Warning (reg): y", "/tmp/ccA1b2.s:9: Warning: z"),
            ("x.dts:13.3-15: Warning (reg): y", "/tmp/ccC3d4.s:7: Warning: z"),
            0,
        ),
        (
            ("mm/a.c:1:2: warning: the frame size of 1032 bytes is larger than 1024 bytes",),
            ("mm/a.c:1:2: warning: the frame size of 1040 bytes is larger than 1024 bytes",),
            0,
        ),
        (("mm/a.c:1:2: warning: ‘x5’ unused",), ("mm/a.c:1:2: warning: ‘x6’ unused",), 1),
    ],
)
def test_warnings_that_are_new(old: tuple[str, ...], new: tuple[str, ...], fresh: int) -> None:
    assert len(each_patch.new_warnings(old, new)) == fresh


# checkpatch

SCRIPT = """\
my $mail = join '', <STDIN>;
print "-:7: WARNING: it says $1\\n" if $mail =~ /^Subject: (.*)$/m;
print "total: 1 errors, ", 0 + (-e "$0") , " warnings, 9 lines checked\\n";
"""


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ("join '', <STDIN>;", "0 errors, 0 warnings"),
        ("join '', <STDIN>; die 'no Perl module'", "scripts/checkpatch.pl ended with status"),
    ],
)
def test_checkpatch_is_silent_about_a_patch_it_likes(
    store: Store, base: Base, kernel: Path, v2: SeriesVersion, script: str, answer: str
) -> None:
    (kernel / "scripts").mkdir()
    (kernel / "scripts" / "checkpatch.pl").write_text(script)
    commit = git.import_tree(store, kernel, "v6.12\n")
    step = next(each_patch.steps(TreeSpec(base=replace(base, commit=commit), series=v2)))
    (line,) = each_patch.checkpatch(store, step)
    assert line.startswith(answer)


def test_checkpatch_is_the_bases_own(
    store: Store, base: Base, kernel: Path, v2: SeriesVersion
) -> None:
    step = next(each_patch.steps(TreeSpec(base=base, series=v2)))
    assert each_patch.checkpatch(store, step) == ("v6.12 has no scripts/checkpatch.pl",)
    (kernel / "scripts").mkdir()
    (kernel / "scripts" / "checkpatch.pl").write_text(SCRIPT)
    commit = git.import_tree(store, kernel, "v6.12\n")
    other: Step = replace(step, whole=replace(step.whole, base=replace(base, commit=commit)))
    count, complaint = each_patch.checkpatch(store, other)
    assert count == "1 errors, 1 warnings"
    assert complaint == "7: WARNING: it says [PATCH v2 1/3] mm/rmap: count what is pending"


# What is not run


def test_what_is_only_built_proves_nothing(prepared: Prepared, tmp_path: Path) -> None:
    ready = replace(prepared, checkpatch=("0 errors, 0 warnings",))
    result = pipeline.built(ready, tmp_path / "run")
    assert result.verdict.outcome is Outcome.SKIP
    assert result.checkpatch == ("0 errors, 0 warnings",)
    assert (tmp_path / "run" / "kernel.config").is_file()
