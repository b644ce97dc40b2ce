# SPDX-License-Identifier: GPL-2.0-only
"""A night as KCIDB JSON, checked by the library that KCIDB itself checks with."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rig.cli import run as verbs
from rig.errors import ConfigError
from rig.history import database
from rig.history.entries import Measured, Result, Run, Setup, Tree
from rig.report import kcidb
from rig.store import Store

TREE = Tree(label="v6.12", source="", series="", base="v6.12")
SERIES = Tree(label="batch@v2 on v6.12", source="/home/ann/linux", series="batch@v2", base="v6.12")
SETUP = Setup(
    label="x86_64 tcg live", arch="x86_64", accel="tcg", schedule="live", flavour="base",
    lru_gen=None, cpus=4, memory=1024, zram=512, swap_disk=256, iterations=0, pages=0,
)  # fmt: skip
Validate = Callable[[bytes], dict[str, Any]]


def case(name: str, outcome: str, reason: str = "") -> Result:
    return Result(suite="stale_tlb", name=name, outcome=outcome, reason=reason, seconds=4.5,
                  counters=(("pswpout", 4000, 2000), ("lost", 2**63 - 1, None)))  # fmt: skip


def a_run(path: str, **rest: object) -> Run:
    given: dict[str, object] = {
        "path": path, "night": "2026-11-28", "tree": TREE, "setup": SETUP, "mutant": "", "seed": 1,
        "selected": False, "commit": "c0ffee", "build": "b01d", "release": "6.12.0-rig",
        "origin": "Debian", "qemu": "QEMU 7.2", "outcome": "PASS", "reason": "1 case passed",
        "ended": "2026-11-28T01:03:04+00:00", "seconds": 61.0, "boot_seconds": 2.5,
    }  # fmt: skip
    return Run(**{**given, **rest})  # type: ignore[arg-type]


EVERY = ("PASS", "FAIL", "SKIP", "INCONCLUSIVE", "BROKEN")
RUNS = (
    a_run("runs/a/x86_64", results=tuple(case(name.lower(), name, "why" * (name != "PASS"))
                                         for name in EVERY)),
    a_run("runs/a/x86_64-2", results=(case("pass", "PASS"),),
          measured=(Measured(bench="reclaim", metric="ipis per page", value=1.5, judged=True),)),
    a_run("runs/b/x86_64", tree=SERIES, commit="", build="", outcome="FAIL",
          reason="mm/vmscan.c:7: error", results=(Result(
              suite="kernel", name="health", outcome="FAIL", reason="x", seconds=0),)),
    a_run("runs/c/x86_64", tree=SERIES, commit="", build="", outcome="BROKEN", reason="no disk"),
    a_run("runs/d/x86_64", mutant="no-remote-flush", results=(case("pass", "FAIL", "wanted"),)),
    a_run("runs/e/x86_64", night="2026-11-27", results=(case("pass", "PASS"),)),
)  # fmt: skip


@pytest.fixture
def filled(store: Store) -> Store:
    with database.writing(store) as writer:
        writer.add(RUNS)
    return store


@pytest.fixture(scope="session")
def validate() -> Validate:
    """The document, if the newest schema of the library accepts it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of jsonschema's own libraries
        io = pytest.importorskip("kcidb_io", reason="kcidb-io is not installed: ./bootstrap test")

    def check(data: bytes) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            document: dict[str, Any] = io.schema.V5_3.validate(json.loads(data))
        return document

    return check


def rendered(store: Store, night: str = "", origin: str = "rig") -> bytes:
    with database.reading(store) as connection:
        return kcidb.render(connection, night, origin)


def test_the_schema_accepts_a_night(filled: Store, validate: Validate) -> None:
    document = validate(rendered(filled))
    assert len(document["checkouts"]) == 2
    assert len(document["builds"]) == 3
    assert len(document["tests"]) == 7
    for night in ("2026-11-27", "2026-11-28"):
        validate(rendered(filled, night))


def test_the_schema_refuses_what_is_wrong(filled: Store, validate: Validate) -> None:
    document = json.loads(rendered(filled))
    document["tests"][0]["status"] = "INCONCLUSIVE"
    with pytest.raises(Exception, match="INCONCLUSIVE"):
        validate(json.dumps(document).encode())


def test_an_empty_history_is_an_empty_document(store: Store, validate: Validate) -> None:
    document = validate(rendered(store))
    assert (document["checkouts"], document["builds"], document["tests"]) == ([], [], [])


def test_outcomes_become_statuses(filled: Store) -> None:
    tests = {test["path"]: test for test in json.loads(rendered(filled))["tests"]}
    assert {path: test["status"] for path, test in tests.items()} == {
        "stale_tlb.pass": "PASS",
        "stale_tlb.fail": "FAIL",
        "stale_tlb.skip": "SKIP",
        "stale_tlb.inconclusive": "ERROR",
        "stale_tlb.broken": "MISS",
        "bench.reclaim.ipis_per_page": "DONE",
    }
    assert tests["stale_tlb.fail"]["comment"] == "why"
    assert tests["stale_tlb.pass"]["misc"]["counters"]["pswpout"] == 4000
    assert tests["bench.reclaim.ipis_per_page"]["number"] == {"value": 1.5}


def test_a_kernel_that_does_not_build_is_the_builds(filled: Store) -> None:
    document = json.loads(rendered(filled))
    builds = {build["id"]: build for build in document["builds"]}
    assert builds["rig:b01d"]["status"] == "PASS"
    assert builds["rig:runs/b/x86_64"]["status"] == "FAIL"
    assert builds["rig:runs/b/x86_64"]["log_excerpt"] == "mm/vmscan.c:7: error"
    assert builds["rig:runs/c/x86_64"]["status"] == "MISS"
    assert not any("runs/b" in test["id"] for test in document["tests"])


def test_what_belongs_together_is_linked(filled: Store) -> None:
    document = json.loads(rendered(filled, origin="maintainer"))
    checkouts = {checkout["id"] for checkout in document["checkouts"]}
    builds = {build["id"] for build in document["builds"]}
    assert {build["checkout_id"] for build in document["builds"]} == checkouts
    assert {test["build_id"] for test in document["tests"]} <= builds
    tests = [test["id"] for test in document["tests"]]
    assert len({*tests}) == len(tests)
    every = [one for kind in ("checkouts", "builds", "tests") for one in document[kind]]
    assert {one["origin"] for one in every} == {"maintainer"}
    assert all(one["id"].startswith("maintainer:") for one in every)


def test_the_same_night_has_the_same_names_after_an_import(filled: Store) -> None:
    """KCIDB takes two names for two results."""
    before = rendered(filled)
    (filled.root / database.FILE).unlink()
    with database.writing(filled) as writer:
        writer.add(reversed(RUNS))
    assert names(rendered(filled)) == names(before)


def names(data: bytes) -> list[str]:
    return sorted(test["id"] for test in json.loads(data)["tests"])


def test_texts_of_others_fit_the_schema(
    store: Store, evil: str, validate: Validate, harmless: Callable[..., None]
) -> None:
    text = evil.replace("\udcff", "")
    tree = Tree(label=text, source=text, series=text, base=text)
    bad = Result(suite=text, name=text, outcome=text, reason=text * 200, seconds=1.5,
                 counters=((text, 1, None),))  # fmt: skip
    one = a_run(f"runs/{text}/x", tree=tree, results=(bad, bad), qemu=text, origin=text,
                measured=(Measured(bench=text, metric=text, value=1.0, judged=True),))  # fmt: skip
    with database.writing(store) as writer:
        writer.add((one, a_run("runs/x/x", build="", outcome="FAIL", reason=text * 200)))
    data = rendered(store)
    document = validate(data)
    assert len({test["id"] for test in document["tests"]}) == 3, "a case that was run twice"
    harmless(data.decode().replace(r"\\u202e", r"\u202e"), lines=False)


def test_an_origin_is_a_name(store: Store) -> None:
    for origin in ("", "My CI", "a:b", "x\n"):
        with pytest.raises(ConfigError, match="no name of a CI system"):
            rendered(store, origin=origin)


def test_the_verb(filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIG_STORE", str(filled.root))
    path = tmp_path / "night.json"
    with pytest.raises(SystemExit) as ended:
        verbs.app(["history", "--night", "2026-11-27", "--kcidb", str(path), "--origin", "ann"])
    assert ended.value.code in (0, None)
    assert names(path.read_bytes()) == ["ann:runs/e/x86_64/stale_tlb/pass"]
