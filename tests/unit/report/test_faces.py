# SPDX-License-Identifier: GPL-2.0-only
"""Every string of every result, in hostile hands, through every face that shows results.

The values are made by walking the types, so that a field added later is fed as well; the reports
are those that the package has. Errors, progress, pytest and one command in a guest have their tests
beside their own.
"""

import email
import email.policy
import json
import pkgutil
import types
import typing
from base64 import b64encode
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pydantic
import pytest

from rig import printable, report
from rig.benches import benchmark
from rig.campaigns import compare, execute, pipeline
from rig.campaigns.bisection import Bisection
from rig.campaigns.compare import Comparison
from rig.campaigns.explore import Exploration
from rig.campaigns.fates import CaseFate
from rig.campaigns.gc import Plan as Removal
from rig.campaigns.mutation import Mutation
from rig.campaigns.nightfile import Mail, NightFile
from rig.campaigns.nightly import Morning
from rig.campaigns.nightplan import Plan
from rig.campaigns.replay import Replayed
from rig.campaigns.results import Provenance, RunResult
from rig.campaigns.trace import Traced
from rig.cli import doctor
from rig.cli.doctor import Findings
from rig.context import Context
from rig.history import database, queries
from rig.history.changes import Cell, Point
from rig.kernel.kbuild import KernelBuild
from rig.kernel.mutant import Mutant
from rig.report import (
    bisect,
    blame,
    builds,
    campaign,
    cases,
    chart,
    comparison,
    digest,
    evidence,
    files,
    gc,
    history,
    html,
    junit,
    kcidb,
    mutants,
    picture,
    rangediff,
    reply,
    review,
    revisions,
    runpages,
    seeds,
    shelves,
    site,
    text,
)
from rig.series.fetch import Fetched
from rig.series.model import SeriesVersion
from rig.shelves import Shelves
from rig.store import Store
from rig.suites import suite
from tests.unit.conftest import about
from tests.unit.report.markup import Page

ROUNDS = range(6)
"""In each, an enumeration has its next member and a union its next type."""
KNOWN = next(iter(benchmark.known().values()))
CASE = suite.case_names(suite.standard().values())[0]
MBX = Path(__file__).parents[2] / "data" / "mbx"
Say = Callable[[int, Path], str]

# Where a value is looked up, evil is what nobody knows.
LOOKED_UP: dict[tuple[type, str], Callable[[str, int], Any]] = {
    (Comparison, "bench"): lambda evil, n: KNOWN.name,
    (compare.Line, "metric"): lambda evil, n: KNOWN.metrics[n % len(KNOWN.metrics)].name,
    (CaseFate, "case"): lambda evil, n: CASE if n % 2 else evil,
    (Provenance, "label"): lambda evil, n: f"{evil}@v2:1 on {evil}" if n % 2 else evil,
    (SeriesVersion, "top"): lambda evil, n: mail(evil),
}


def make(kind: Any, evil: str, n: int) -> Any:
    """A value of that type, every string of which is evil, and no tuple empty."""
    match kind:
        case type() if issubclass(kind, Enum):
            return list(kind)[n % len(kind)]
        case type() if is_dataclass(kind) or issubclass(kind, pydantic.BaseModel):
            return whole(kind, evil, n)
        case type() if kind in (str, bytes, Path):
            return {str: evil, bytes: evil.encode(errors="replace"), Path: Path(evil)}[kind]
        case type() if kind in (int, float, bool):
            return kind(n + 1)
        case types.NoneType:
            return None
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return inside[0]
    if origin in (types.UnionType, typing.Union):
        return make(inside[n % len(inside)], evil, n)
    assert origin is tuple, f"{kind}: say here how one is made"
    inside = (inside[0], inside[0]) if inside[-1] is ... else inside
    return tuple(make(one, evil, n) for one in inside)


def whole(kind: Any, evil: str, n: int) -> Any:
    def value(name: str, hint: Any) -> Any:
        known = LOOKED_UP.get((kind, name))
        return known(evil, n) if known else make(hint, evil, n)

    hints = typing.get_type_hints(kind)
    if not is_dataclass(kind):
        return kind.model_construct(
            **{name: value(name, hints[name]) for name in kind.model_fields}
        )
    return kind(**{one.name: value(one.name, hints[one.name]) for one in fields(kind) if one.init})


def mail(evil: str) -> bytes:
    """A cover letter whose every header is evil, in encoded words and as it is."""
    flat = evil.encode(errors="replace").replace(b"\0", b"").replace(b"\r", b"").replace(b"\n", b"")
    words = b64encode(evil.encode(errors="replace")).decode()
    name = b64encode(flat).decode()
    people = f"=?utf-8?b?{name}?= <a@b.example>, =?utf-8?b?{words}?= <c@d.example>"
    head = [
        *(f"{header}: {people}" for header in ("From", "Reply-To", "To", "Cc")),
        f"Subject: [PATCH 0/3] =?utf-8?b?{words}?=",
        f"Date: =?utf-8?b?{words}?=",
        "Message-ID: <x@y.example>",
    ]
    lines = [line.encode() for line in head]
    lines += [b"References: <\x1b[31m@y.example> <ok@y.example> " + flat]
    return b"\n".join([*lines, b"", flat, b""])


def results(evil: str, n: int) -> tuple[RunResult, RunResult]:
    return make(RunResult, evil, n), make(RunResult, evil, n + 1)


def stored(evil: str, n: int, root: Path, compared: bool) -> Path:
    """A run, as JSON has it: without what is no UTF-8, which the mails' parser lets nobody have."""
    home = root / "runs" / ("compared" if compared else "tested")
    for number, one in enumerate(results(evil, n)):
        subject = replace(one.provenance.subject, upto=None)
        known = about(one.provenance, subject, mutant="", suites=(), cases=())
        execute.store_result(replace(one, provenance=known), home / str(number))
        (home / str(number) / pipeline.TOP).write_bytes(mail(evil))
        for name in ("console.log", "qemu.cmd", "kernel.config"):
            (home / str(number) / name).write_bytes(evil.encode(errors="replace"))
    if compared:
        document = pydantic.TypeAdapter(tuple[Comparison, ...]).dump_json(
            (make(Comparison, evil, n),)
        )
        (home / compare.FILE).write_bytes(document)
    return home


def mailed(evil: str, n: int, root: Path, *, compared: bool) -> str:
    data = reply.reply(stored(evil, n, root, compared), "Ann <ann@b.example>")
    message = email.message_from_bytes(data, policy=email.policy.default)
    head = data.decode().partition("\n\n")[0]
    names = [line.partition(":")[0] for line in head.splitlines() if line[:1] not in " \t"]
    assert set(names) <= {
        "From", "To", "Cc", "Subject", "In-Reply-To", "References", "Content-Type",
        "Content-Transfer-Encoding", "MIME-Version",
    }, head  # fmt: skip
    first, *others, last = str(message["References"]).split()
    assert (first, last) == ("<ok@y.example>", "<x@y.example>")
    assert {*others} <= {"</pre>", "<script>", "</script>"}, "they have the form of identifiers"
    values = "\n".join(f"{name}: {message[name]}" for name in names)
    return f"{data.decode()}\n{values}"


def as_files(evil: str, n: int, root: Path) -> str:
    whole = results(evil, n)
    path = root / "out.json"
    files.write(whole, path, None)
    assert pydantic.TypeAdapter(tuple[RunResult, ...]).validate_json(path.read_bytes()) == whole
    said = path.read_text()
    files.copy(path, root / "again.json")
    assert json.loads((root / "again.json").read_text()) == json.loads(said)
    return said + (root / "again.json").read_text()


def as_page(evil: str, n: int, root: Path) -> str:
    """The page of a run whose every value and file is evil: as a reader sees it, and its text."""
    data = html.page(stored(evil, n, root, compared=bool(n % 2)))
    page = Page(data)
    assert page.complaints == []
    return data.decode() + page.text


def as_evidence(evil: str, n: int, root: Path) -> str:
    """Its makers leave control characters to the page."""
    directory = root / "x86_64"
    directory.mkdir()
    (directory / "console.log").write_bytes(evil.encode(errors="replace"))
    one = make(RunResult, evil, n)
    parts = [console.shown for console in evidence.consoles(directory, one.splats, "a")]
    parts += [evidence.stack(splat) for splat in one.splats]
    body = printable.text("".join(f"<pre>{part}</pre>" for part in parts))
    page = Page(body.encode())
    assert page.complaints == []
    return body


def as_site(evil: str, n: int, root: Path, kind: str) -> str:
    """The pages of a site, without those of the runs."""
    with database.reading(nightly(evil, n, root)) as connection:
        made = dict(site.pages(connection, site.read(connection, frozenset())))
    said = [data.decode() for path, data in made.items() if path.startswith(kind)]
    every = [Page(one.encode()) for one in said]
    assert [page.complaints for page in every if page.complaints] == []
    return "\n".join([*said, *(page.text for page in every)])


def exchanged(evil: str, n: int, root: Path) -> str:
    """The texts of a night's JSON, as a program reads them; its form is in test_kcidb.py."""
    with database.reading(nightly(evil, n, root)) as connection:
        document = json.loads(kcidb.render(connection, "", "rig"))
    kinds = [one for kind in ("checkouts", "builds", "tests") for one in document[kind]]
    return "\n".join(str(value) for one in kinds for value in one.values() if type(value) is str)


def campaigned(evil: str, n: int, root: Path) -> str:
    many = campaign.load(stored(evil, n, root, compared=True))
    assert many is not None
    return many.text


def as_run_pages(evil: str, n: int, root: Path) -> str:
    stored(evil, n, root, compared=False)
    (root / "site").mkdir()
    (name,) = runpages.write(Store(root), root / "site").pages
    page = Page(data := (root / "site/runs" / f"{name}.html").read_bytes())
    assert page.complaints == []
    return data.decode() + page.text


def drawn_chart(evil: str) -> str:
    cell = Cell(night="1", failed=1, reason=evil, path=evil)
    svg = chart.bars([cell], ["1"], evil, lambda path: path)
    svg += chart.curve([Point(night="1", value=1)], ["1"], evil)
    page = Page(printable.text(svg).encode())
    assert {complaint[:5] for complaint in page.complaints} == {"href="}, "the link is the caller's"
    return printable.text(svg) + page.text


def as_junit(evil: str, n: int) -> str:
    document = junit.render(results(evil, n))
    every = [
        said for one in xml.fromstring(document).iter() for said in (one.text, *one.attrib.values())
    ]
    return "\n".join([document.decode(), *filter(None, every)])


def drawn(evil: str, root: Path) -> str:
    pytest.importorskip("matplotlib")
    path = root / "out.svg"
    picture.draw([make(Comparison, evil, 1)], path)
    return "".join(one.text or "" for one in xml.parse(path).iter())


def file_name(evil: str) -> str:
    return evil.replace("\0", "").replace("/", "")


def listed(evil: str, root: Path) -> str:
    name = file_name(evil)
    for path in (
        root / "patches" / name / "v1.mbx",
        root / "kconfigs" / "flavour" / f"{name}.config",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = Shelves(kconfigs=root / "kconfigs", patches=root / "patches", images=root)
    return shelves.render(found)


def shelved(evil: str, root: Path) -> str:
    home = root / "patches" / file_name(evil)
    home.mkdir(parents=True)
    data = (
        Path(__file__).parents[2] / "data" / "mbx" / "shelf" / "unmap-batch" / "v1.mbx"
    ).read_bytes()
    (home / "v1.mbx").write_bytes(data)
    (home / f"v1.on-{home.name}.mbx").write_bytes(data)
    return revisions.table(Store(root), root / "patches")


def checked(evil: str, n: int, root: Path) -> str:
    stored(evil, n, root, compared=False)
    none = Shelves(kconfigs=root, patches=root, images=root)
    document = review.render(review.check(Context(Store(root), none), "x@y.example"))
    entries = json.loads(document)
    assert {entry["tool"] for entry in entries} != {"rig"}
    parts = [document, *(said for entry in entries for said in entry.values())]
    return "\n".join(part for part in parts if "owned" in part)


def blamed(evil: str, n: int) -> str:
    """The lines, as the templates show them."""
    lines = (text.fold(line, 4) for one in results(evil, n) for _, line in blame.lines(one))
    return "\n".join(lines)


def nightly(evil: str, n: int, root: Path) -> Store:
    """A store with runs that others named, in its history."""
    store = Store(root / "store")
    for number, result in enumerate(results(evil, n)):
        slot = store.root / "runs" / "20260102-000000-x" / str(number)
        execute.store_result(result, slot)
    return store


def remembered(evil: str, n: int, root: Path) -> str:
    """`rig history` of runs that others named; first it tells what is new, then what it knows."""
    with database.reading(nightly(evil, n, root)) as connection:
        said = [history.overview(connection)]
        for (name,) in connection.execute("SELECT DISTINCT name FROM line").fetchall():
            said.append(history.render(connection, queries.select(connection, name), name))
    return "".join(said)


def morning(evil: str, n: int) -> str:
    """The digest of a night, as text and as a mail."""
    made = make(Morning, evil, n)
    sent = digest.message(made, Mail())
    return f"{digest.render(made)}{sent['Subject']}\n{sent.get_content()}"


def planned(evil: str, n: int) -> str:
    plan = make(Plan, evil, n)
    jobs = tuple(replace(job, row=0) for job in plan.jobs)
    return digest.preview(NightFile(name="mm"), replace(plan, jobs=jobs), 2)


def faces(evil: str) -> dict[str, Say]:
    """Module, and what it is that it shows -> all that it says."""
    utf8 = evil.replace("\udcff", "")
    return {
        "bisect": lambda n, _: bisect.render(make(Bisection, evil, n), evil),
        "blame": lambda n, _: blamed(evil, n),
        "builds": lambda n, _: builds.render([make(KernelBuild, evil, n)]),
        "campaign": lambda n, root: campaigned(utf8, n, root),
        "cells": lambda n, root: as_site(utf8, n, root, "cases"),
        "chart": lambda n, _: drawn_chart(evil),
        "cases": lambda n, _: cases.render([make(Mutant, CASE, n)], [make(Mutation, evil, 1)]),
        "comparison": lambda n, _: comparison.render([make(Comparison, evil, n)], evil),
        "digest": lambda n, _: morning(evil, n),
        "digest planned": lambda n, _: planned(evil, n),
        "evidence": lambda n, root: as_evidence(evil, n, root),
        "files": lambda n, root: as_files(utf8, n, root),
        "html": lambda n, root: as_page(utf8, n, root),
        "gc": lambda n, _: gc.render(make(Removal, evil, n), verbose=bool(n % 2)),
        "junit": lambda n, _: as_junit(evil, n),
        "history": lambda n, root: remembered(utf8, n, root),
        "kcidb": lambda n, root: exchanged(utf8, n, root),
        "mutants": lambda n, _: mutants.render(make(Mutation, evil, n), evil),
        "picture": lambda n, root: drawn(evil, root) if n == 1 else "",
        "rangediff": lambda n, _: printable.text(evil) + rangediff.painted(""),
        "reply": lambda n, root: mailed(utf8, n, root, compared=False),
        "reply measured": lambda n, root: mailed(utf8, n, root, compared=True),
        "review": lambda n, root: checked(utf8, n, root),
        "revisions": lambda n, root: shelved(evil, root),
        "revisions fetched": lambda n, root: revisions.fetched(make(Fetched, evil, n), root),
        "runpages": lambda n, root: as_run_pages(utf8, n, root),
        "site": lambda n, root: as_site(utf8, n, root, ""),
        "seeds": lambda n, _: seeds.explored(make(Exploration, evil, n)),
        "seeds replayed": lambda n, _: seeds.replayed([make(Replayed, evil, n)]),
        "seeds traced": lambda n, _: seeds.traced([make(Traced, evil, n)]),
        "shelves": lambda n, root: listed(evil, root),
        "text": lambda n, _: text.render(results(evil, n), evil),
        "text many": lambda n, _: text.render(results(evil, n) * 4, evil),
        "doctor": lambda n, _: doctor.render(make(Findings, evil, n)),
    }


NOT_LINES = (
    "cells",
    "chart",
    "evidence",
    "files",
    "html",
    "junit",
    "runpages",
    "site",
    "picture",
    "review",
    "rangediff",
)
"""A machine reads them, or they are a stranger's text and nothing else."""
EVERY = tuple(faces(""))


@pytest.mark.parametrize("face", EVERY)
def test_a_face_shows_what_others_wrote_and_obeys_none_of_it(
    face: str, evil: str, harmless: Callable[..., None], tmp_path: Path
) -> None:
    for n in ROUNDS:
        (root := tmp_path / str(n)).mkdir()
        if said := faces(evil)[face](n, root):
            harmless(said, lines=face.split()[0] not in NOT_LINES)


@pytest.mark.parametrize("face", EVERY)
def test_a_face_without_the_sanitiser_is_noticed(
    face: str,
    evil: str,
    harmless: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("text", "line"):
        monkeypatch.setattr(printable, name, lambda said: said)
    monkeypatch.setattr(printable, "json", lambda document: document)
    with pytest.raises((AssertionError, UserWarning, SyntaxError, ValueError)):
        harmless(faces(evil)[face](1, tmp_path), lines=face.split()[0] not in NOT_LINES)


def test_every_report_is_fed() -> None:
    modules = {module.name for module in pkgutil.iter_modules(report.__path__)}
    assert {face.split()[0] for face in EVERY} - {"doctor"} == modules


def test_every_string_is_fed(evil: str) -> None:
    def strings(value: Any) -> list[str]:
        if isinstance(value, str) and not isinstance(value, Enum):
            return [value]
        if isinstance(value, tuple):
            return [said for one in value for said in strings(one)]
        if is_dataclass(value):
            own = [(one.name, getattr(value, one.name)) for one in fields(value)]
            return [said for name, one in own if name != "kind" for said in strings(one)]
        return []

    found = strings(make(RunResult, evil, 0))
    assert set(found) == {evil}
    assert len(found) > 40
