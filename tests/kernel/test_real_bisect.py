# SPDX-License-Identifier: GPL-2.0-only
"""`rig bisect` over a history of 16 commits of real kernels: one has a fault that is a race."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from rig import proc
from rig.store import Store
from tests.kernel.histories import Repository, appended, message, variable

CASE = ("--schedule", "seeded", "--case", "anon_lost_write")
PLANTED = "mm: leave some pages out of the batched flush"
# mm/rmap.c: set_tlb_ubc_flush_pending(). Some pages are not flushed before they are written out.
FAULT = {
    "mm/rmap.c": (
        "	arch_tlbbatch_add_pending(&tlb_ubc->arch, mm, uaddr);",
        "	if ((uaddr >> PAGE_SHIFT) % 8)\n"
        "		arch_tlbbatch_add_pending(&tlb_ubc->arch, mm, uaddr);",
    )
}
BROKEN = {"mm/page_io.c": ("\treturn -ENOMEM;", "\treturn rig_no_such_function();")}
REPAIRED = {"mm/page_io.c": BROKEN["mm/page_io.c"][::-1]}


@pytest.fixture(scope="module")
def history() -> tuple[Repository, dict[str, str]]:
    """The repository, and its commits by their subjects."""
    repository = Repository.of(Store.default())
    before = [
        ("mm/vmscan: compare as elsewhere", {
            "mm/vmscan.c": (
                "if (folio_batch_add(&free_folios, folio) == 0) {",
                "if (!folio_batch_add(&free_folios, folio)) {",
            )
        }),
        ("null_blk: say who speaks", message("drivers/block/null_blk/main.c", 'pr_warn("')),
        ("mm/swapfile: say who speaks", message("mm/swapfile.c", 'pr_err("')),
        ("mm/internal.h: count", appended("mm/internal.h", "#define RIG_COUNT 1")),
        ("mm/rmap: count", variable("mm/rmap.c", "rig_rmap")),
    ]  # fmt: skip
    side = [
        ("mm/shmem: count", variable("mm/shmem.c", "rig_shmem")),
        ("zram: count", variable("drivers/block/zram/zram_drv.c", "rig_zram")),
    ]
    middle = [
        ("mm/page_io: count", variable("mm/page_io.c", "rig_page_io")),
        ("mm/page_io: call a function", BROKEN),
        ("mm/page_io: call no function", REPAIRED),
    ]
    after = [
        ("kernel/sys: count", variable("kernel/sys.c", "rig_sys")),
        (PLANTED, FAULT),
        ("mm/migrate: count", variable("mm/migrate.c", "rig_migrate")),
        ("Documentation: a word", {"Documentation/mm/index.rst": ("=", "==")}),
        ("rmap.h: count", appended("include/linux/rmap.h", "#define RIG_RMAP 1")),
    ]
    names = repository.line(before, repository.first)
    sides = repository.line(side, names[-1])
    names += repository.line(middle, names[-1])
    both = {path: edit for _, edits in side for path, edit in edits.items()}
    names.append(repository.commit("Merge the side branch", both, names[-1], sides[-1]))
    names += repository.line(after, names[-1])
    subjects = [
        *(subject for subject, _ in (*before, *middle)), "merge", *(subject for subject, _ in after)
    ]  # fmt: skip
    return repository, dict(zip(subjects, names, strict=True))


def rig(*words: str | Path, status: int) -> proc.Done:
    done = proc.run([sys.executable, "-m", "rig", *words], check=False, deadline=3600)
    assert done.status == status, done.stdout + done.stderr
    return done


def afresh(bad: str) -> None:
    """Remove the runs of this test from an earlier time: it would only go on with them."""
    for directory in (Store.default().root / "runs").glob(f"*-bisect-{bad[:12]}-*"):
        shutil.rmtree(directory)


def test_a_race_is_found_in_a_history(
    history: tuple[Repository, dict[str, str]], tmp_path: Path
) -> None:
    repository, commits = history
    ends, file = (repository.first, commits["rmap.h: count"]), tmp_path / "out.json"
    afresh(ends[1])
    where = ("--tree", repository.path)
    done = rig("bisect", *ends, *where, *CASE, "--json", file, status=0)
    found = json.loads(file.read_text())
    culprit = found["culprit"]
    assert (culprit["subject"], found["commits"]) == (PLANTED, 16)
    assert culprit["commit"] == commits[PLANTED] and not culprit["same_kernel"]
    assert "mm/rmap.c" in culprit["diffstat"] and culprit["author"] == "Ada Example"
    assert len([entry for entry in found["tested"] if not entry["skipped"]]) <= 9
    assert "expected for 16 commits" in done.stderr or "are stored" in done.stderr
    # The evidence holds: a seed that fails, and another that passes before it.
    (passing,) = culprit["passing"]
    words = culprit["failing"]["again"][1:]
    assert "FAIL" in rig(*words, "--quiet", status=1).stdout
    few = [*passing["again"][1:-1], passing["again"][-1].split(",")[0]]
    assert re.search(r"1 seeds, 0 failing", rig(*few, "--quiet", status=0).stdout)
    log = rig("bisect", "log", status=0).stdout
    assert log.endswith(f"# first bad commit: [{culprit['commit']}] {PLANTED}\n")


def test_the_commit_that_does_not_compile_is_found_without_a_guest(
    history: tuple[Repository, dict[str, str]], tmp_path: Path
) -> None:
    repository, commits = history
    ends, file = (repository.first, commits["mm/page_io: call a function"]), tmp_path / "out.json"
    afresh(ends[1])
    rig("bisect", *ends, "--tree", repository.path, "--build", "--json", file, status=0)
    found = json.loads(file.read_text())
    assert found["culprit"]["subject"] == "mm/page_io: call a function"
    assert found["guests"] == 0
    assert "rig_no_such_function" in found["headline"]
