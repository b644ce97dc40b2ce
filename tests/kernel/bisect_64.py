# SPDX-License-Identifier: GPL-2.0-only
"""Bisects 64 commits of real kernels, with the culprit at several places; prints what it took.

    python tests/kernel/bisect_64.py --trials 5 [--arch arm64]

Two commits do not compile, one does not boot, one is a merge, some edit headers or drivers that are
not compiled. Each trial has another seed and another culprit. It takes about 10 minutes a trial.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from rig import proc
from rig.store import Store
from tests.kernel.histories import Edit, Repository, appended, variable
from tests.kernel.test_real_bisect import CASE, FAULT

MM = (  # noqa: SIM905
    "filemap mempool oom_kill fadvise maccess page-writeback readahead swap truncate shmem util"
    " mmzone vmstat backing-dev percpu slab_common compaction show_mem interval_tree list_lru"
    " workingset debug gup memory mincore mlock mmap mmu_gather mprotect mremap msync"
    " page_vma_mapped pagewalk pgtable-generic vmalloc page_alloc swap_state swapfile migrate"
    " madvise"
).split()
DRIVERS = (
    *("drivers/block/zram/zram_drv.c", "drivers/block/null_blk/main.c", "drivers/char/mem.c"),
    *("drivers/net/ethernet/intel/e1000/e1000_main.c", "drivers/gpu/drm/drm_edid.c"),
    *("drivers/usb/core/hub.c", "drivers/virtio/virtio.c", "drivers/base/core.c"),
    "kernel/sys.c",
)
HEADERS = ("mm/internal.h", "include/linux/rmap.h", "mm/swap.h", "include/linux/zsmalloc.h")
CALLS = {"mm/page_io.c": ("\treturn -ENOMEM;", "\treturn rig_no_such_function();")}
HANGS = {"init/main.c": ("\tset_task_stack_end_magic(&init_task);",
                         "\tset_task_stack_end_magic(&init_task);\n\tpanic(\"rig\");")}  # fmt: skip
MERGE_AT, SIDE = 30, 4


def back(edits: dict[str, Edit]) -> dict[str, Edit]:
    return {path: (after, before) for path, (before, after) in edits.items()}


def edits() -> list[tuple[str, dict[str, Edit]]]:
    """60 commits of one line; four more are on the side, and one of the 60 merges them."""
    harmless = [(f"mm/{name}: count", variable(f"mm/{name}.c", f"rig_{number}"))
                for number, name in enumerate(MM)]  # fmt: skip
    harmless += [(f"{path}: count", variable(path, f"rig_d{number}"))
                 for number, path in enumerate(DRIVERS)]  # fmt: skip
    harmless += [(f"{path}: count", appended(path, f"#define RIG_H{number} 1"))
                 for number, path in enumerate(HEADERS)]  # fmt: skip
    # Spread what is dear over the range.
    mixed = [harmless[number * 23 % len(harmless)] for number in range(len(harmless))]
    for place, (name, broken) in {
        12: ("call", CALLS),
        13: ("call on", {}),
        40: ("hang", HANGS),
    }.items():
        mixed.insert(place, (f"rig: {name}", broken or variable("mm/nommu.c", "rig_nothing")))
    mixed.insert(14, ("rig: call no more", back(CALLS)))
    mixed.insert(41, ("rig: hang no more", back(HANGS)))
    return mixed


def history(repository: Repository, place: int) -> tuple[str, str]:
    """The bad end and the culprit, which is the commit of this number on the line."""
    names, tip, sides = list[str](), repository.first, list[str]()
    side = [(f"lib/{name}: count", variable(f"lib/{name}.c", f"rig_{name}"))
            for name in ("sort", "bitmap", "string", "ctype")]  # fmt: skip
    for number, (subject, change) in enumerate(edits()):
        if number == place:
            tip = repository.commit("mm: flush less", FAULT, tip)
            culprit = tip
        if number == MERGE_AT - 10:
            sides = repository.line(side, tip)
        if number == MERGE_AT:
            every = {path: edit for _, one in side for path, edit in one.items()}
            tip = repository.commit("Merge the side branch", every, tip, sides[-1])
        tip = repository.commit(subject, change, tip)
        names.append(tip)
    return tip, culprit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--arch", default="x86_64")
    given = parser.parse_args()
    repository, right = Repository.of(Store.default()), 0
    for trial in range(given.trials):
        place = (50, 9, 33, 24, 57)[trial % 5]
        bad, culprit = history(repository, place)
        with tempfile.TemporaryDirectory() as scratch:
            file, began = Path(scratch) / "out.json", time.monotonic()
            words = ("--tree", repository.path, "--arch", given.arch, *CASE)
            more = ("--seed", str(1 + 1000 * trial), "--json", file)
            argv = [sys.executable, "-m", "rig", "bisect", repository.first, bad, *words, *more]
            done = proc.run(argv, check=False, deadline=7200)
            seconds = time.monotonic() - began
            found = json.loads(file.read_text()) if file.is_file() else {}
        if not found:
            print(done.stderr[-3000:])  # noqa: T201
            continue
        is_right = bool(found["culprit"]) and found["culprit"]["commit"] == culprit
        right += is_right
        tested = found["tested"]
        guests, builds = (sum(one[name] for one in tested) for name in ("seconds", "build_seconds"))
        print(  # noqa: T201
            f"culprit {place} of {found['commits']}: {'right' if is_right else 'WRONG'},"
            f" rate {found['rate']:.2f}, {len(tested)} kernels"
            f" ({sum(bool(one['skipped']) for one in tested)} skipped), {found['guests']} guests,"
            f" {seconds:.0f} s; builds {builds:.0f} s, guests {guests:.0f} s",
            flush=True,
        )
    print(f"{right} of {given.trials} right")  # noqa: T201


if __name__ == "__main__":
    main()
