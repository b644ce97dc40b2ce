# SPDX-License-Identifier: GPL-2.0-only
import json
import os
import threading
from pathlib import Path
from xml.etree import ElementTree as xml

import pydantic
import pytest

from rig.campaigns.results import RunResult
from rig.errors import ConfigError, InfraError
from rig.report import files

Results = dict[str, tuple[RunResult, ...]]


def test_results_come_back_from_json_as_they_were(tmp_path: Path, results: Results) -> None:
    adapter = pydantic.TypeAdapter(tuple[RunResult, ...])
    for kind, given in results.items():
        path = tmp_path / f"{kind}.json"
        files.write(given, path, None)
        assert adapter.validate_json(path.read_bytes()) == given


def test_json_is_for_other_programs_too(tmp_path: Path, results: Results) -> None:
    files.write(results["fail"], tmp_path / "out.json", tmp_path / "out.xml")
    (document,) = json.loads((tmp_path / "out.json").read_text())
    assert document["verdict"]["outcome"] == "FAIL"
    assert document["machine"]["accel"] == "tcg"
    assert document["suites"][0]["cases"][0]["counters"][0] == ["pswpout", 937722]
    assert xml.parse(tmp_path / "out.xml").getroot().tag == "testsuites"


def test_only_what_is_named_is_written(tmp_path: Path, results: Results) -> None:
    files.write(results["pass"], None, None)
    files.write(results["pass"], None, tmp_path / "out.xml")
    assert [path.name for path in tmp_path.iterdir()] == ["out.xml"]


def test_a_campaigns_own_result_has_no_cases(tmp_path: Path) -> None:
    stored = tmp_path / "20260101-bench" / "comparison.json"
    stored.parent.mkdir()
    stored.write_text("[]")
    files.again(stored, tmp_path / "out.json", None)
    assert json.loads((tmp_path / "out.json").read_text()) == []
    with pytest.raises(ConfigError, match="20260101-bench has no cases for --junit"):
        files.again(stored, None, tmp_path / "out.xml")


def test_a_file_that_cannot_be_written_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (tmp_path, tmp_path / "gone" / "out.json"):
        with pytest.raises(ConfigError, match=f"{path} cannot be written"):
            files.check(None, path)
    files.check(None, None)
    files.check(tmp_path / "new.json", None)
    monkeypatch.chdir(tmp_path)
    files.check(Path("new.json"))
    assert list(tmp_path.iterdir()) == []


def test_what_the_system_refuses_is_said_before_the_work(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("kept")
    for name, why in (
        ("pipe", "nobody reads from this pipe"),
        ("loop", "Too many levels"),
        ("x" * 300, "File name too long"),
        ("file/out.json", "Not a directory"),
        ("/proc/none", "No such file"),
    ):
        with pytest.raises(ConfigError, match=f"cannot be written: {why}"):
            files.check(tmp_path / name)
    with pytest.raises(ConfigError, match="two options name the same file"):
        files.check(tmp_path / "a", None, tmp_path / "a")
    files.check(tmp_path / "file", Path("/dev/null"))
    assert (tmp_path / "file").read_text() == "kept"


def test_a_pipe_can_be_written(tmp_path: Path, results: Results) -> None:
    """`--json >(jq .)`; more than fits into the pipe."""
    reader, writer = os.pipe()
    parts: list[bytes] = []

    def read() -> None:
        while data := os.read(reader, 4096):
            parts.append(data)

    thread = threading.Thread(target=read)
    thread.start()
    files.check(Path(f"/dev/fd/{writer}"))
    files.put(Path(f"/dev/fd/{writer}"), b"x" * 300_000)
    os.close(writer)
    thread.join()
    os.close(reader)
    assert b"".join(parts) == b"x" * 300_000


def test_a_file_that_cannot_be_written_after_all_is_the_hosts_fault(results: Results) -> None:
    with pytest.raises(InfraError, match="/dev/full cannot be written: No space left") as error:
        files.write(results["pass"], Path("/dev/full"), None)
    assert "rig report" in error.value.hint
