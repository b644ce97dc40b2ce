# SPDX-License-Identifier: GPL-2.0-only
import json
import re
from pathlib import Path

import pytest

from rig.guest import console, headlines
from rig.guest.splat import SplatKind

DATA = Path(__file__).parents[2] / "data" / "console" / "kinds" / "messages.jsonl"
MESSAGES = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("row", MESSAGES, ids=lambda row: f"{row['right']}: {row['text'][:40]}")
def test_each_kind_of_message_is_what_it_says(row: dict[str, str]) -> None:
    text = f"[    1.000000] before\n[   12.345678] {row['text']}\n"
    splats = console.scan(text)
    assert [splat.kind for splat in splats] == ([row["kind"]] if row["kind"] else [])
    right = {(True, True): "fatal", (False, True): "FAIL", (False, False): "note"}
    assert [right[splat.fatal, splat.kind.failure] for splat in splats] == (
        [] if row["right"] == "none" else [row["right"]]
    )
    assert all(splat.title == row["text"] and splat.at == 12.345678 for splat in splats)


def test_a_prefix_that_is_not_the_kernels_makes_it_a_programs_text() -> None:
    for row in MESSAGES:
        if row["right"] in ("fatal", "FAIL"):
            for prefix in ("mytest: ", "prog[12]: ", "my test said "):
                begins = headlines.headline(f"{prefix}{row['text']}".encode())
                assert begins is None, (prefix, row["text"])


def test_the_quick_checks_find_the_first_row_that_matches() -> None:
    every = re.compile("|".join(f"({row})" for row in headlines._BOUNDED).encode(), re.ASCII)
    for text in (row["text"].encode() for row in MESSAGES):
        match = every.match(text)
        first = headlines.HEADLINES[match.lastindex - 1][:2] if match and match.lastindex else None
        assert headlines.headline(text) == first, text


def test_rows_keep_the_rules_that_make_one_pattern_of_them() -> None:
    for _, _, row in headlines.HEADLINES:
        assert re.compile(row).groups == 0, row
        assert not row.endswith("$"), row
        assert ".+" not in row, row
    assert {kind for kind, _, _ in headlines.HEADLINES} == set(SplatKind)
