# SPDX-License-Identifier: GPL-2.0-only
"""A stored run as one HTML page, which needs no other file, no network and no script.

The whole page is made printable at the end (rig/printable.py), and jinja2 escapes every value, so
that no text of a kernel or a mail becomes markup. A browser is told to run no script and to load
nothing (Content-Security-Policy), should an escape be missing one day.
"""

import base64
import functools
import hashlib
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import jinja2

from rig import printable
from rig.campaigns import execute, partial, stored
from rig.campaigns.options import command
from rig.campaigns.results import RunResult
from rig.errors import RigError
from rig.report import blame, campaign, evidence, files, reply, text
from rig.report.evidence import Attach, Console, Download, Marked
from rig.suites import suite as suites
from rig.verdict.rules import CaseResult, Outcome

FULL = 40
"""Results of which a page has the files; those with the worst outcomes, if there are more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A case as the page shows it."""

    name: str
    result: CaseResult
    rule: str
    counters: Marked
    anchor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One result of the run, and the files beside it."""

    anchor: str
    title: str
    result: RunResult
    circumstances: str
    facts: tuple[tuple[str, str], ...]
    not_run: str
    blame: tuple[str, ...]
    cases: tuple[Shown, ...]
    splats: tuple[tuple[str, Marked, str], ...]
    """Title, text, and the anchor in the console, if it is there."""
    consoles: tuple[Console, ...] = ()
    downloads: tuple[Download, ...] = ()
    config: str = ""
    command: str = ""
    left_out: str = ""
    """Where its files are, if the page does not have them."""


def write(directory: Path, path: Path | None) -> None:
    """Write the page to a file that the user named, if any."""
    if path:
        files.put(path, page(directory))


def page(
    directory: Path, attach: Attach = evidence.embedded, *, home: str = "", key: str = ""
) -> bytes:
    """The page of a stored run. `home`: the URL of the site's first page; `key` is kept in it."""
    paths = execute.stored_results(directory)
    results = tuple(map(execute.load, paths))
    many = campaign.load(directory)
    missing = () if many else stored.with_missing(results)[len(results) :]
    everything = (*results, *missing)
    ranked = sorted(range(len(results)), key=lambda n: -results[n].verdict.outcome.severity)
    full = {*ranked[:FULL]}
    parts = tuple(
        _part(number, result, paths[number].parent if number < len(paths) else None,
              everything, attach, full=number in full)
        for number, result in enumerate(everything)
    )  # fmt: skip
    return rendered(
        "run.html.j2",
        name=directory.name,
        home=home,
        key=key,
        title=", ".join(text.labels(everything)),
        overall=many.outcome if many else text.overall(everything),
        tally=text.tally(everything) if len(everything) > 1 and not many else "",
        ended=max(result.ended for result in everything),
        summary=many.text if many else "",
        parts=parts,
        table=() if many else table(parts),
        again="" if many else again(everything, reply.top_of(directory)),
        replayed=any(part.result.machine.schedule.kind == "seeded" for part in parts),
    )


def rendered(template: str, **values: object) -> bytes:
    """A page of this template, with the style in it."""
    given = {"key": "", **values}
    made = _environment().get_template(template).render(style=_style(), csp=_policy(), **given)
    return printable.text(made).encode()


@functools.cache
def _environment() -> jinja2.Environment:
    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(text.TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        auto_reload=False,
    )
    jinja.filters["day"] = lambda moment: moment[:16].replace("T", " ")
    jinja.filters["badge"] = _badge
    jinja.filters["grouped"] = lambda number: f"{number:,}"
    return jinja


@functools.lru_cache(64)
def _badge(outcome: str) -> Marked:
    name = escape(str(outcome))
    return Marked(f'<span class="badge {name.lower()}">{name}</span>')


@functools.cache
def _style() -> Marked:
    css = (text.TEMPLATES / "style.css").read_text()
    return Marked(re.sub(r"/\*.*?\*/\n*", "", css, flags=re.DOTALL).strip())


@functools.cache
def _policy() -> str:
    """The browser loads nothing, and takes this style only."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none';"
        " form-action 'none'"
    )


def _part(
    number: int,
    result: RunResult,
    directory: Path | None,
    everything: Sequence[RunResult],
    attach: Attach,
    *,
    full: bool,
) -> Part:
    anchor = f"r{number + 1}"
    several = len(text.labels(everything)) > 1
    mutant = result.provenance.request.mutant
    label = result.provenance.label if several else ""
    consoles: tuple[Console, ...] = ()
    downloads: tuple[Download, ...] = ()
    config = qemu = ""
    # A page of a site does not have what is in it, or beside it, once more.
    alone = attach is evidence.embedded
    if directory and full:
        consoles = evidence.consoles(directory, result.splats, f"{anchor}-splat")
        cut = [console.name for console in consoles if alone or not console.whole]
        names = (*cut, *evidence.NAMES, *(evidence.SHOWN if alone else ()))
        downloads = tuple(evidence.downloads(directory, names, attach))
        if alone:
            config = evidence.options(evidence.text(directory / "kernel.config"))
        qemu = evidence.command(evidence.text(_first(directory, "qemu.cmd")))
    marked = "".join(console.shown for console in consoles)
    splats = []
    for n, splat in enumerate(result.splats):
        target = f"{anchor}-splat-{n}"
        there = f'id="{target}"' in marked
        splats.append((splat.title, evidence.stack(splat), target if there else ""))
    return Part(
        anchor=anchor,
        title=", ".join(filter(None, (result.machine.arch, label, mutant))),
        result=result,
        circumstances=text.circumstances(result),
        facts=tuple(_facts(result)),
        not_run=partial.not_run(result),
        blame=tuple(" " * (indent - 4) + line for indent, line in blame.lines(result)),
        cases=tuple(_cases(result, anchor)),
        splats=tuple(splats),
        consoles=consoles,
        downloads=downloads,
        config=config,
        command=qemu,
        left_out=str(directory) if directory and not full else "",
    )


def _first(directory: Path, name: str) -> Path:
    """The file, or the first one in a directory of a seeded case."""
    own = directory / name
    return own if own.is_file() else next(iter(evidence.found(directory, name)), own)


def _facts(result: RunResult) -> Iterator[tuple[str, str]]:
    """What it was made of: name and value."""
    origin = result.provenance
    facts = (
        ("base", f"{origin.subject.base}: {origin.origin}"),
        ("series", ", ".join(origin.subject.series)),
        ("first patches", str(origin.subject.upto or "")),
        ("mutant", origin.request.mutant),
        ("flavour", origin.request.flavour if origin.request.flavour != "base" else ""),
        ("not confined", origin.unconfined),
        ("commit", origin.commit),
        ("kernel", " ".join(filter(None, (origin.release, origin.build)))),
        ("image", origin.image),
        ("programs", ", ".join(f"{name} {digest[:12]}" for name, digest in origin.programs)),
        ("QEMU", origin.qemu),
        ("ended", result.ended),
    )
    return ((name, value) for name, value in facts if value)


def _cases(result: RunResult, anchor: str) -> Iterator[Shown]:
    known, request = suites.declared(), result.provenance.request
    seeded = result.machine.schedule.kind == "seeded"
    for number, (name, case) in enumerate(result.cases.items()):
        own = known.get(name)
        work = (max(request.iterations, 0), max(request.pages, 0))
        least = suites.floors_of(name, *work, seeded=seeded)
        yield Shown(
            name=name,
            result=case,
            rule=own.guards if own else "",
            counters=_counters(case.counters, least),
            anchor=f"{anchor}-c{number + 1}",
        )


def _counters(counters: Sequence[tuple[str, int]], floors: dict[str, int]) -> Marked:
    """The items of a list. A page has hundreds of them, and a template would take most of its
    time for them."""
    items = []
    for name, value in counters:
        least = floors.get(name, 0)
        low = ' class="low"' if value < least else ""
        needs = f" <small>needs {least:,}</small>" if least else ""
        items.append(f"<li{low}><span>{_escaped(name)}</span> <b>{value:,}</b>{needs}</li>")
    return Marked("\n".join(items))


@functools.lru_cache(4096)
def _escaped(name: str) -> str:
    return escape(name)


Row = tuple[str, tuple[tuple[str, Outcome] | None, ...]]


def table(parts: Sequence[Part]) -> tuple[Row, ...]:
    """A row for each case, a cell (anchor and outcome) for each result; none for one result."""
    if len(parts) < 2 or not any(part.cases for part in parts):
        return ()
    cells = [{case.name: (case.anchor, case.result.outcome) for case in part.cases}
             for part in parts]  # fmt: skip
    names = dict.fromkeys(name for part in cells for name in part)
    return tuple((name, tuple(part.get(name) for part in cells)) for name in names)


def again(results: Sequence[RunResult], top: bytes) -> str:
    """The command that runs the same again. A suite of then may be unknown today."""
    try:
        return reply.again(results, top)
    except RigError:
        return shlex.join(command(results[0].provenance.request))
