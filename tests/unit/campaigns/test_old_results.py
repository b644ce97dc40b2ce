# SPDX-License-Identifier: GPL-2.0-only
"""Runs that were stored before a result had its request."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rig.campaigns import compare, execute, mutation, old_results
from rig.campaigns.options import Request
from rig.campaigns.statistics import Difference
from rig.kernel.tree import Subject

DATA = Path(__file__).parents[2] / "data" / "results"
STACK = ("lazyfree-batched-unmap@v4", "lazyfree-pte-batch-bound@v1")


@pytest.mark.parametrize(
    ("name", "subject", "target", "base"),
    [
        ("base", Subject(base="v6.12"), "v6.12", ""),
        ("stacked", Subject(base="v6.12", series=STACK), STACK[-1], "v6.12"),
        (
            "part", Subject(base="v6.12", series=("does-not-bisect@v1",), upto=1),
            "does-not-bisect@v1:1", "v6.12",
        ),
    ],
)  # fmt: skip
def test_a_result_has_its_request_and_subject(
    name: str, subject: Subject, target: str, base: str
) -> None:
    provenance = execute.load(DATA / f"{name}.json").provenance
    assert provenance.subject == subject
    assert subject.label == provenance.label
    assert (provenance.request.target, provenance.request.base) == (target, base)


def test_its_options_are_those_it_had() -> None:
    stored = json.loads((DATA / "base.json").read_text())
    result = execute.load(DATA / "base.json")
    request, provenance = result.provenance.request, stored["provenance"]
    assert (request.mutant, request.seed, request.flavour) == (
        provenance["mutant"], provenance["seed"], provenance["flavour"],
    )  # fmt: skip
    assert request.mutant and request.schedule == "seeded"
    assert request.arch == (result.machine.arch,)
    assert (request.cpus, request.zram) == (result.machine.cpus, result.machine.swap.zram)


def test_a_base_of_the_users_own_tree() -> None:
    stored: dict[str, Any] = json.loads((DATA / "part.json").read_text())
    stored["provenance"]["origin"] = "git tree /home/ann/my linux, v7.2-3-gabc"
    request = old_results.result(stored)["provenance"]["request"]
    assert request["tree"] == "/home/ann/my linux"


def test_what_is_stored_today_is_left_as_it_is(tmp_path: Path) -> None:
    result = execute.load(DATA / "part.json")
    execute.store_result(result, tmp_path)
    assert execute.load(tmp_path / execute.RESULT) == result
    document = json.loads((tmp_path / execute.RESULT).read_text())
    assert old_results.result(document) is document


def test_an_old_word_for_a_difference_is_read(tmp_path: Path) -> None:
    shutil.copy(DATA / compare.FILE, tmp_path)
    (comparison,) = compare.load(tmp_path)
    (line,) = comparison.lines
    assert line.difference is Difference.NOT_JUDGED
    # As it was stored with a request, before the word changed.
    document = json.loads(compare._ALL.dump_json((comparison,)))
    document[0]["lines"][0]["difference"] = "not of hardware"
    (tmp_path / compare.FILE).write_text(json.dumps(document))
    assert compare.load(tmp_path) == (comparison,)


@pytest.mark.parametrize("file", [compare.FILE, mutation.FILE])
def test_campaigns_are_read(tmp_path: Path, file: str) -> None:
    shutil.copy(DATA / file, tmp_path)
    if file == compare.FILE:
        (compared,) = compare.load(tmp_path)
        assert compared.subject.label == compared.after
        assert compared.request.target == compared.subject.name
        assert compared.against == compared.before, "a base"
    else:
        mutated = mutation.load(tmp_path)
        assert mutated and mutated.clean[0].provenance.request == Request(
            target="v6.12", mutant="none", arch=(mutated.clean[0].machine.arch,)
        )
        assert [(case.case, case.guests) for case in mutated.rows[0].cases] == [
            ("madv_free/shared_after_fork", 1), ("reclaim/fork_cow", 1),
        ]  # fmt: skip
        (kill,) = mutated.rows[0].cases[1].kills
        assert (kill.seconds, kill.how[:25]) == (0.24, "child's region, page 9, o")


def test_what_an_old_campaign_missed_is_read() -> None:
    """As it was stored with --seeds, or with --repeat: a kill and a miss of the same case."""
    kills = [
        {"case": name, "how": "page 3", "seconds": 1.5, "writes": 2} for name in ("s/a", "s/b")
    ]
    row = {"mutant": "m", "arch": "arm64", "fate": "KILLED", "seed": 7, "reason": "", "others": []}
    row |= {"kills": kills, "missed": ["s/b", "s/c"]}
    (read,) = old_results.mutation({"clean": [], "rows": [row]})["rows"]
    assert (read["fate"], read["cases"][0]) == (
        "KILLED",
        {
            "case": "s/a",
            "fate": "KILLED",
            "guests": 1,
            "seeds": [7],
            "kills": [{"how": "page 3", "seconds": 1.5, "writes": 2, "seed": 7}],
        },
    )
    assert [(case["case"], case["fate"], case["guests"]) for case in read["cases"][1:]] == [
        ("s/b", "SURVIVED", 2), ("s/c", "SURVIVED", 1),
    ]  # fmt: skip
    assert old_results.mutation({"clean": [], "rows": [read]})["rows"] == [read]
