# SPDX-License-Identifier: GPL-2.0-only
"""Stored files that are damaged, in every verb that reads them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rig import __main__ as main
from rig.campaigns import compare, execute, mutation
from rig.campaigns.results import RunResult
from rig.series import intake
from rig.store import Store

TOP = b"From: a@b\nMessage-Id: <unmap-v2-0@example.org>\nSubject: x\n\n"
Results = dict[str, tuple[RunResult, ...]]
Rig = Callable[..., tuple[int, str, str]]

DAMAGE = {
    "empty": b"",
    "cut off": b'{"machine": {"arch": "x86_64", "acc',
    "binary": b"\xff\x00\x80" * 9,
    "null": b"null",
    "number": b"7",
    "string": b'"x"',
    "list": b"[1, [2]]",
    "empty list": b"[]",
    "empty object": b"{}",
    "other types": b'{"provenance": 3, "machine": [], "lines": {}, "clean": 1, "verdict": "x"}',
    "lists for objects": b'{"provenance": [], "machine": [], "lines": [], "clean": [7]}',
    "no objects in it": b'[{"lines": 5}]',
    "deep": b"[" * 100_000,
    "long number": b"9" * 9000,
    "html": b"<html>502 Bad Gateway</html>",
}


@pytest.fixture
def rig(store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rig:
    """Run the program; its exit status, stdout and stderr."""
    monkeypatch.setenv("RIG_STORE", str(store.root))

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["rig", *words])
        monkeypatch.setattr(intake, "stdin", lambda: TOP)
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture
def run(store: Store, results: Results) -> Path:
    """A stored run."""
    directory = store.root / "runs" / "20260102-000000-x"
    execute.store_result(results["repeated"][0], directory / "x86_64")
    (directory / "x86_64" / "top.eml").write_bytes(TOP)
    return directory


FILES = {
    f"x86_64/{execute.RESULT}": (["report"], ["reply"], ["replay"]),
    mutation.FILE: (["report"], ["reply"], ["list", "--cases"]),
    compare.FILE: (["report"], ["reply"]),
}


@pytest.mark.parametrize(
    ("file", "words"),
    [(file, words) for file, verbs in FILES.items() for words in verbs],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_a_damaged_file_is_named_with_a_way_out(
    rig: Rig, run: Path, file: str, words: list[str]
) -> None:
    for kind, data in DAMAGE.items():
        (run / file).write_bytes(data)
        status, out, err = rig(*words)
        assert (status, out) == (3, ""), (kind, err)
        assert "Traceback" not in err, kind
        assert f"{run / file} cannot be read: it is damaged" in err, kind
        assert f"hint: delete {run}, and run it again" in err, kind
        assert len(err.splitlines()) < 25, kind


def test_a_stored_file_that_is_a_directory_is_no_traceback(rig: Rig, run: Path) -> None:
    (run / "x86_64" / execute.RESULT).unlink()
    (run / "x86_64" / execute.RESULT).mkdir()
    status, _, err = rig("report")
    assert (status, "Traceback" in err) == (3, False)


@pytest.mark.parametrize("kind", DAMAGE)
def test_b4_check_prints_its_json_for_a_damaged_result(rig: Rig, run: Path, kind: str) -> None:
    path = run / "x86_64" / execute.RESULT
    path.write_bytes(DAMAGE[kind])
    status, out, err = rig("b4-check")
    (entry,) = json.loads(out)
    assert (status, entry["tool"], entry["status"]) == (0, "rig", "warn")
    assert f"{path} cannot be read" in entry["summary"]
    assert "Traceback" not in err


def test_a_damaged_run_does_not_hide_other_series_in_the_list(rig: Rig, run: Path) -> None:
    (run / "x86_64" / execute.RESULT).write_bytes(b"{")
    status, out, err = rig("series")
    assert (status, "Traceback" in err) == (0, False)
    assert "batch-dirty-tlb-flush@v2" in out
