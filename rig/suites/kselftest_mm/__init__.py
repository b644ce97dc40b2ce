# SPDX-License-Identifier: GPL-2.0-only
"""A second opinion from outside the rig: the tree's own tools/testing/selftests/mm.

The programs are compiled from the tree (rig/kernel/selftests.py). Each is a case, with the name and
the arguments that the tree's run_vmtests.sh uses. rig/verdict/kselftest.py judges their results;
`known/vX.Y.toml` lists those that fail without any series. Only run on request: it takes minutes,
and the tests themselves decide how much they test.
"""

from pathlib import Path

from rig import arch as arches
from rig.guest.boot import Guest
from rig.kernel import selftests
from rig.kernel.kbuild import BuildSpec
from rig.store import Store
from rig.suites.suite import Case, Suite
from rig.verdict import kselftest, ktap
from rig.verdict.floors import Floor
from rig.verdict.kselftest import OUT_OF_TIME, PASSED, Known
from rig.verdict.rules import CaseResult
from rig.version import KernelVersion

FOLDER = "mm"
KNOWN = Path(__file__).parent / "known"
GRACE = 5
"""Seconds (on hardware) from a program's deadline to the guest's."""
SCRIPT = """cd "$(mktemp -d)" || exit
echo 3 >/proc/sys/vm/drop_caches
echo 1 >/proc/sys/vm/compact_memory
began=$(date +%s)
timeout -s KILL {limit} {command} >output 2>&1
status=$?
cat output
[ $status = 137 ] && [ $(($(date +%s) - began)) -ge {limit} ] && status={out_of_time}
(exit $status)
"""

LEFT_OUT = {
    "charge_reserved_hugetlb.sh": "hugetlb is off",
    "compaction_test": "hugetlb is off, and it takes most of a machine's memory in huge pages",
    "folio_split_race_test": "100 rounds of 16 threads: not finished after 3 minutes under TCG",
    "hmm-tests": "needs the module test_hmm",
    "hugepage-mmap": "hugetlb is off",
    "hugepage-mremap": "hugetlb is off",
    "hugepage-shm": "hugetlb is off",
    "hugepage-vmemmap": "hugetlb is off",
    "hugetlb-madvise": "hugetlb is off",
    "hugetlb-mmap": "hugetlb is off",
    "hugetlb-mremap": "hugetlb is off",
    "hugetlb-read-hwpoison": "hugetlb and memory failure are off",
    "hugetlb-shm": "hugetlb is off",
    "hugetlb-soft-offline": "hugetlb and memory failure are off",
    "hugetlb-vmemmap": "hugetlb is off",
    "hugetlb_dio": "hugetlb is off",
    "hugetlb_fault_after_madv": "hugetlb is off",
    "hugetlb_madv_vs_map": "hugetlb is off",
    "ksm_functional_tests": "KSM is off",
    "ksm_tests": "KSM is off, and it needs libnuma",
    "map_hugetlb": "hugetlb is off",
    "memfd_secret": "needs libcap",
    "memory-failure": "memory failure is off",
    "migration": "needs libnuma",
    "mlock-random-test": "needs libcap",
    "on-fault-limit": "refuses to run as root",
    "pfnmap": "maps /dev/mem, which is off",
    "pkey_sighandler_tests": "is about protection keys, not about memory",
    "pkey_sighandler_tests_64": "is about protection keys, not about memory",
    "protection_keys": "is about protection keys, not about memory",
    "protection_keys_64": "is about protection keys, not about memory",
    "rmap": "needs libnuma",
    "seal_elf": "is about sealing, not about memory",
    "thuge-gen": "hugetlb is off",
    "va_high_addr_switch": "needs five-level page tables",
    "virtual_address_range": "maps the whole address space: minutes under TCG",
    "write_to_hugetlbfs": "is a helper of hugetlb tests",
}
"""Programs of selftests/mm that are not cases, with the reason.

A unit test checks that no program is in both lists; a program of the tree that is in neither is
reported when they are compiled."""


def test(name: str, guards: str, *, call: str = "", deadline: float = 20) -> Case:
    """`call`: the program with its arguments, if it is not just the name."""
    return Case(
        name=name,
        guards=guards,
        floors=(Floor(counter=PASSED, at_least=1),),
        deadline=deadline,
        command=call or name,
        live_only="the tree's own selftests are started over SSH",
    )


CASES = (
    test("cow", "copy on write against fork, GUP, vmsplice and swap", deadline=120),
    test("droppable", "MAP_DROPPABLE memory is dropped under pressure, and reads as zero"),
    test("guard-regions", "MADV_GUARD_INSTALL and _REMOVE, also across reclaim", deadline=30),
    test("gup_longterm", "which mappings long-term pins are refused for"),
    test("gup_test_fast", "get_user_pages_fast()", call="gup_test -u -n 1"),
    test("gup_test_pin", "pin_user_pages_fast()", call="gup_test -a -n 1"),
    test("gup_test_longterm", "long-term pins of a shared THP", call="gup_test -t -L -w -S -n 512"),
    test("gup_test_dump", "dump of pinned pages", call="gup_test -ct -F 0x1 0 19 0x1000"),
    test("khugepaged", "collapse of anonymous and shmem memory into THPs", deadline=90),
    test("khugepaged_shmem", "collapse of shmem", call="khugepaged all:shmem", deadline=60),
    test("madv_populate", "MADV_POPULATE_READ and _WRITE, soft-dirty with them"),
    test("map_fixed_noreplace", "MAP_FIXED_NOREPLACE never replaces"),
    test("map_populate", "MAP_POPULATE breaks copy on write"),
    test("mdwe_test", "PR_SET_MDWE denies writable and executable memory"),
    test("merge", "VMAs merge where they may, with their anon_vma"),
    test("mkdirty", "no PTE of a read-only VMA becomes dirty and writable"),
    test("mlock2-tests", "mlock2() and MLOCK_ONFAULT"),
    test("mrelease_test", "process_mrelease() frees a dying process' memory"),
    test("mremap_dontunmap", "MREMAP_DONTUNMAP leaves an empty mapping behind"),
    test("mremap_test", "mremap() moves page tables with their contents", deadline=90),
    test("mseal_test", "a sealed mapping stays as it is"),
    test("pagemap_ioctl", "PAGEMAP_SCAN: written pages, by uffd write protection", deadline=60),
    test("prctl_thp_disable", "PR_SET_THP_DISABLE"),
    test("process_madv", "process_madvise() of another process"),
    test("soft-dirty", "soft-dirty bits over swap, mprotect and split", deadline=90),
    test("split_huge_page_test", "splitting THPs keeps their contents", deadline=20),
    test("transhuge-stress", "THPs allocated and freed", call="transhuge-stress -d 1", deadline=60),
    test("uffd-stress_anon", "userfaultfd, anonymous", call="uffd-stress anon 20 4", deadline=40),
    test("uffd-stress_shmem", "userfaultfd, shmem", call="uffd-stress shmem 20 4", deadline=40),
    test(
        "uffd-stress_shmem-private",
        "userfaultfd, private shmem",
        call="uffd-stress shmem-private 20 4",
        deadline=40,
    ),
    # On one CPU: under TCG, waking another CPU for each of its 100,000 faults takes minutes.
    test(
        "uffd-unit-tests",
        "userfaultfd: missing, write-protect, minor, move",
        call="taskset 1 uffd-unit-tests",
        deadline=120,
    ),
    test("uffd-wp-mremap", "write protection by userfaultfd goes with mremap()"),
)


def program_of(case: Case) -> str:
    words = case.command.split()
    return words[2] if words[0] == "taskset" else words[0]


def programs(store: Store, suite: Suite, spec: BuildSpec) -> tuple[Path, ...]:
    names = [program_of(case) for case in suite.cases]
    return selftests.build(store, spec, FOLDER, names, tuple(LEFT_OUT))


def run(guest: Guest, suite: Suite, case: Case, seed: int) -> CaseResult:
    """Run one program as run_vmtests.sh does: as root, in compacted memory, with a time limit.

    The programs take no seed. A program that exceeds its deadline is killed without losing the
    guest. The output goes to a file, so that leftover children do not keep the channel open.
    """
    release = guest.run("uname -r", deadline=10).stdout.strip()
    limit = round(case.deadline * guest.machine.patience)
    script = SCRIPT.format(limit=limit, command=case.command, out_of_time=OUT_OF_TIME)
    ran = guest.run(script, deadline=case.deadline + GRACE)
    failures = known_failures(suite, case.name, KernelVersion.parse(release), guest.machine.arch)
    report = ktap.parse(ran.stdout, foreign=True)
    seconds = round(ran.seconds, 2)
    return kselftest.judge(report, case.name, case.floors, ran.status, seconds, failures)


def known_failures(suite: Suite, case: str, version: KernelVersion, arch: str) -> tuple[Known, ...]:
    """The known failures of this base on this architecture; none for other bases."""
    path = KNOWN / f"{version.base}.toml"
    if not path.is_file():
        return ()
    names = [each.name for each in suite.cases]
    listed = kselftest.load(path.read_text(), f"known/{path.name}", names, arches.known())
    return tuple(failure for failure in listed if failure.applies(case, arch))


SUITE = Suite(
    name="kselftest_mm",
    summary="the kernel tree's own tools/testing/selftests/mm",
    cases=CASES,
    on_request=True,
    programs=programs,
    run=run,
)
