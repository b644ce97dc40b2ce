# SPDX-License-Identifier: GPL-2.0-only
"""KTAP is read as the kernel's own parser reads it: the yardstick is tools/testing/kunit."""

import json
import sys
from pathlib import Path

import pytest

from rig import git, proc
from rig.kernel import base
from rig.store import Store
from rig.verdict import ktap

KUNIT = "tools/testing/kunit"
COUNT = """
import contextlib, dataclasses, inspect, io, json, pathlib, sys
import kunit_parser, kunit_printer

counts = {}
for path in pathlib.Path("test_data").iterdir():
    lines = path.read_text().splitlines(keepends=True)
    # v6.12 has no printer as an argument.
    printer = [kunit_printer.stdout] if "printer" in inspect.signature(
        kunit_parser.parse_run_tests).parameters else []
    with contextlib.redirect_stdout(io.StringIO()):
        kunit_printer.stdout._output = io.StringIO()
        test = kunit_parser.parse_run_tests(lines, *printer)
    counts[path.name] = dataclasses.asdict(test.counts)
print(json.dumps(counts))
"""


@pytest.mark.parametrize("version", ["v6.12", "v7.2"])
def test_the_counts_of_kunit_parser(version: str, tmp_path: Path) -> None:
    store = Store.default()
    commit = base.resolve(store, version).commit
    archive = tmp_path / "kunit.tar"
    git.text("archive", f"--output={archive}", commit, KUNIT, cwd=git.repository(store))
    proc.run(["tar", "-xf", archive, "-C", tmp_path])
    counted = proc.run([sys.executable, "-c", COUNT], cwd=tmp_path / KUNIT)
    theirs = json.loads(counted.stdout)
    assert len(theirs) >= 24
    for name, counts in theirs.items():
        text = (tmp_path / KUNIT / "test_data" / name).read_text()
        ours = ktap.parse(text, foreign=True).counts
        assert {key: getattr(ours, key) for key in counts} == counts, name
