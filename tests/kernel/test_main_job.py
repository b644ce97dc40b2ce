# SPDX-License-Identifier: GPL-2.0-only
"""The main job as a user types it: `rig run …` on real kernels of both architectures."""

import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rig import arch, proc
from rig.store import Store
from rig.suites import suite

BOTH = ",".join(arch.standard())
CASES = [f"{entry.name}/{case.name}" for entry in suite.standard().values() for case in entry.cases]
NOT_ON_V6_12 = {"madv_free/extra_reference_stays_lazyfree", "madv_free/split_deferred_zero"}
"""What later kernels promise."""
DATA = Path(__file__).parents[1] / "data" / "mbx" / "kernel"


def rig(*words: str | Path) -> proc.Done:
    return proc.run([sys.executable, "-m", "rig", *words], check=False, deadline=3600)


def outcomes(file: Path) -> dict[str, dict[str, dict[str, object]]]:
    """Architecture -> suite/case -> the case, from --json."""
    return {
        result["machine"]["arch"]: {
            f"{suite_result['suite']}/{case['name']}": case
            for suite_result in result["suites"]
            for case in suite_result["cases"]
        }
        for result in json.loads(file.read_text())
    }


def passes(target: str, tmp_path: Path) -> None:
    json_file, junit_file = tmp_path / "out.json", tmp_path / "out.xml"
    result = rig("run", target, "--arch", BOTH, "--json", json_file, "--junit", junit_file)
    assert result.status == 0, result.stdout + result.stderr
    assert f"{target}" in result.stdout and "PASS" in result.stdout
    for cases in outcomes(json_file).values():
        assert list(cases) == CASES
        skipped = {name for name, case in cases.items() if case["outcome"] == "SKIP"}
        assert skipped == NOT_ON_V6_12
        passed = [case for case in cases.values() if case["outcome"] == "PASS"]
        assert len(passed) == len(CASES) - len(NOT_ON_V6_12)
        assert all(case["counters"] for case in passed)
    junit = ElementTree.parse(junit_file).getroot()
    assert len(junit.findall(".//testcase")) == (len(CASES) + 1) * len(arch.standard())
    assert not junit.findall(".//failure") and not junit.findall(".//error")
    name = result.stdout.split()[-1]
    assert rig("report", name).stdout == result.stdout


def test_clean_kernel_passes(tmp_path: Path) -> None:
    passes("v6.12", tmp_path)


def test_broken_kernel_fails_with_lost_writes(tmp_path: Path) -> None:
    """The suite's own proof: without the remote flush, writes are lost, on both architectures."""
    file = tmp_path / "out.json"
    words = ("--mutant", "no-remote-flush", "--suite", "stale_tlb", "--arch", BOTH)
    result = rig("run", "v6.12", *words, "--json", file)
    assert result.status == 1, result.stdout + result.stderr
    by_arch = outcomes(file)
    assert set(by_arch) == set(arch.standard())
    for cases in by_arch.values():
        case = cases["stale_tlb/anon_lost_write"]
        assert case["outcome"] == "FAIL"
        counters = dict(case["counters"])  # type: ignore[call-overload]
        assert counters["lost"] > 0
        assert case["evidence"]


def test_pytest_fails_on_a_broken_kernel(tmp_path: Path) -> None:
    own = tmp_path / "test_own.py"
    own.write_text(
        'def test_own(guest, kernel):\n    assert kernel.release in guest.run("uname -r").stdout\n'
    )
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--pyargs", "rig.suites", own]
    result = proc.run(
        [*argv, "--mutant", "no-remote-flush", "-k", "anon_lost_write[ or own"],
        cwd=tmp_path, check=False, deadline=3600,
    )  # fmt: skip
    assert result.status == 1, result.stdout + result.stderr
    assert "1 failed, 1 passed" in result.stdout


def test_series_that_does_not_apply_names_patch_file_and_hunk() -> None:
    result = rig("run", DATA / "does-not-apply.mbx")
    assert result.status == 1, result.stdout + result.stderr
    assert "patch 1/1" in result.stdout and "mm/vmscan.c, the hunk at line" in result.stdout
    assert "+\trig_never_there();" in result.stdout


def test_series_that_does_not_compile_fails_with_the_compilers_words() -> None:
    result = rig("run", DATA / "does-not-compile.mbx")
    assert result.status == 1, result.stdout + result.stderr
    output = " ".join(result.stdout.split())
    assert re.search(
        r"FAIL: it does not compile: mm/vmscan\.c:\d+:\d+: error: implicit declaration of function "
        r".rig_no_such_function.",
        output,
    )
    assert "the build: introduced by patch 1/1 (" in output


def test_series_that_does_not_bisect_names_the_first_patch_that_breaks_it(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    words = ("--each-patch", "--case", "anon_roundtrip", "--json", file)
    result = rig("run", DATA / "does-not-bisect.mbx", *words)
    assert result.status == 1, result.stdout + result.stderr
    output = " ".join(result.stdout.split())
    assert "FAIL: patch 1/2 (mm: count the calls of shrink_folio_list()): it does not" in output
    first, whole = sorted(
        json.loads(file.read_text()), key=lambda document: len(document["suites"])
    )
    assert (first["verdict"]["outcome"], whole["verdict"]["outcome"]) == ("FAIL", "PASS")
    assert whole["checkpatch"][0].startswith("0 errors")


@pytest.mark.parametrize("revision", ["v1", "v2"])
def test_series_passes(revision: str, tmp_path: Path) -> None:
    """After the base's own tests: v2 edits a header, which compiles everything anew."""
    passes(f"batch-dirty-tlb-flush@{revision}", tmp_path)


def test_a_bug_that_was_found_by_reading_is_found_by_running(tmp_path: Path) -> None:
    """lazyfree-batched-unmap@v4 does not end its batch with the page table; the series on top of it
    does."""
    for target, word in (
        ("lazyfree-batched-unmap@v4", "FAIL"),
        ("lazyfree-pte-batch-bound", "PASS"),
    ):
        file = tmp_path / f"{word}.json"
        # Which patch it is needs two more kernels: patch 2 edits a header, so all is compiled.
        words = ("--case", "straddle_page_table", "--arch", BOTH, "--json", file, "--no-blame")
        result = rig("run", target, *words)
        assert result.status == (word == "FAIL"), result.stdout + result.stderr
        cases_seen = [cases["madv_free/straddle_page_table"] for cases in outcomes(file).values()]
        assert [case["outcome"] for case in cases_seen] == [word] * len(arch.standard())


LOSES = "old_or_zero_redirty_kept"
"""The case that fails in a kernel with patch 2 of loses-data.mbx."""


def blames(file: Path) -> dict[str, object]:
    (result,) = json.loads(file.read_text())
    (blame,) = result["blame"]
    assert blame["failure"] == f"madv_free/{LOSES}"
    return dict(blame)


def test_a_failure_is_the_series_and_its_patch_is_named(tmp_path: Path) -> None:
    """Three kernels that differ in a line of mm/rmap.c or mm/vmscan.c."""
    file = tmp_path / "out.json"
    result = rig("run", DATA / "loses-data.mbx", "--case", LOSES, "--json", file)
    assert result.status == 1, result.stdout + result.stderr
    output = " ".join(result.stdout.split())
    by = "introduced by patch 2/3 (mm/rmap: drop every lazyfree folio without other users)"
    assert f"madv_free/{LOSES}: {by}" in output
    blame = blames(file)
    assert blame["base"]["failed"] == 0 < blame["base"]["runs"]  # type: ignore[index]
    assert "at a time, at most" in result.stderr and "for the first, and about" in result.stderr


def test_a_failure_of_the_base_is_already_there(tmp_path: Path) -> None:
    """The same fault in the user's tree, below a series that is harmless."""
    linux = Store.default().root / "linux.git"
    tree, index = tmp_path / "linux.git", {"GIT_INDEX_FILE": str(tmp_path / "index")}
    git("init", "--quiet", "--bare", tree)
    (tree / "objects" / "info" / "alternates").write_text(f"{linux}/objects\n")
    good = git("rev-parse", "refs/rig/bases/v6.12", at=linux)
    git("read-tree", good, at=tree, **index)
    _, fault, _ = re.split(r"(?m)^(?=From [0-9a-f]{40} )", (DATA / "loses-data.mbx").read_text())[
        1:
    ]
    patch = tmp_path / "fault.patch"
    patch.write_text(fault)
    git("apply", "--cached", patch, at=tree, **index)
    broken = git("write-tree", at=tree, **index)
    commit = git("commit-tree", "-p", good, "-m", "mm: a fault", broken, at=tree)
    git("update-ref", "refs/heads/broken", commit, at=tree)
    file = tmp_path / "out.json"
    words = ("--tree", tree, "--base", "broken", "--case", LOSES, "--json", file)
    result = rig("run", f"{DATA / 'loses-data.mbx'}:1", *words)
    assert result.status == 4, result.stdout + result.stderr
    output = " ".join(result.stdout.split())
    assert f"INCONCLUSIVE: already there without the series: madv_free/{LOSES}" in output
    blame = blames(file)
    assert (blame["mark"], blame["against"]) == ("already there", "broken")


def git(*words: str | Path, at: Path = Path(), **env: str) -> str:
    who = ("-c", "user.name=rig", "-c", "user.email=rig@localhost")
    argv = ["git", *who, "-C", str(at), *map(str, words)]
    return proc.run(["env", *(f"{k}={v}" for k, v in env.items()), *argv]).stdout.strip()


def test_the_trees_own_selftests_are_a_second_opinion(tmp_path: Path) -> None:
    """Those that are quick, cross-compiled; one that this base does not have skips itself."""
    file = tmp_path / "out.json"
    names = ("madv_populate", "mkdirty", "mlock2-tests", "guard-regions")
    words = ("--suite", "kselftest_mm", "--case", ",".join(names), "--arch", "arm64")
    result = rig("run", "v6.12", *words, "--json", file)
    assert result.status == 0, result.stdout + result.stderr
    cases = outcomes(file)["arm64"]
    assert list(cases) == [f"kselftest_mm/{name}" for name in (names[3], *names[:3])]
    absent, *others = cases.values()
    assert (absent["outcome"], absent["reason"]) == (
        "SKIP",
        "v6.12 has no guard-regions for arm64",
    )
    assert {case["outcome"] for case in others} == {"PASS"}


def test_pytest_runs_the_suites_as_items(tmp_path: Path) -> None:
    """The reviewer's other command: -k, --junitxml and -n as everyone expects."""
    junit = tmp_path / "out.xml"
    words = ("--series", "batch-dirty-tlb-flush", "--revision", "v2", "--arch", BOTH)
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--pyargs", "rig.suites"]
    result = proc.run(
        [*argv, *words, "-k", "anon_lost_write[", "--junitxml", junit, "-n", "2", "-o", "addopts="],
        cwd=tmp_path, check=False, deadline=3600,
    )  # fmt: skip
    assert result.status == 0, result.stdout + result.stderr
    cases = ElementTree.parse(junit).getroot().findall(".//testcase")
    assert len(cases) == len(arch.standard())
    assert all(case.find(".//property[@name='pswpout']") is not None for case in cases)
