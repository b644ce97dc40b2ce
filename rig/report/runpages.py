# SPDX-License-Identifier: GPL-2.0-only
"""The pages of all stored runs, in a site: those of `rig report --html`.

A page has a key of what it was made from, in its first lines. It is not written again while the key
stays. The page of a run that the store has no more is left there.
"""

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from rig import log
from rig.campaigns import execute
from rig.campaigns.needs import CAMPAIGNS
from rig.errors import RigError
from rig.report import evidence, html, text
from rig.report.evidence import Download, Marked
from rig.store import Store
from rig.suites import suite as suites

RUNS, FILES = "runs", "files"
"""Directories of the pages, and of files that many runs have alike."""
SHARED = ("kernel.config", "series.mbx")
KEY = re.compile(rb'<meta name="rig-key" content="([0-9a-f]*)">')
SUFFIX = ".html"


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    pages: frozenset[str]
    """The names of the runs that have a page."""
    new: int
    """How many pages were written now."""


@dataclass(slots=True)
class Shared:
    """Attaches a configuration, or a series, as a file beside the pages, once; others as data."""

    directory: Path
    _there: set[str] = field(default_factory=set)

    def __call__(self, name: str, data: bytes) -> Download:
        kind = next((kind for kind in SHARED if name.endswith(kind)), "")
        if not kind:
            return evidence.embedded(name, data)
        digest = hashlib.sha256(data).hexdigest()[:20]
        file = f"{digest}-{kind}.txt"
        if file not in self._there:
            put(self.directory / file, data)
            self._there.add(file)
        return Download(name=name, note=evidence.size(data), url=Marked(f"../{FILES}/{file}"))


def write(store: Store, site: Path) -> Written:
    """Write the pages of new and changed runs; a run that cannot be read has a note instead."""
    for name in (RUNS, FILES):
        (site / name).mkdir(exist_ok=True)
    attach, recipe, new = Shared(site / FILES), _recipe(), 0
    stored = execute.runs(store)
    with log.step(f"Writing the pages of {len(stored):,} runs") as step:
        for done, run in enumerate(stored):
            path = site / RUNS / f"{run.name}{SUFFIX}"
            key = _key(recipe, run)
            if _key_of(path) == key:
                continue
            if not new % 50:
                step.progress(done, len(stored), run.name)
            try:
                data = html.page(run, attach, home="../index.html", key=key)
            except RigError as error:
                log.note(f"{run.name} has no page: {error.message}")
                continue
            put(path, data)
            new += 1
    pages = (entry.name for entry in os.scandir(site / RUNS))
    names = frozenset(name.removesuffix(SUFFIX) for name in pages if name.endswith(SUFFIX))
    return Written(pages=names, new=new)


def put(path: Path, data: bytes) -> None:
    """Write a file of the site, which a reader never finds in part, unless it is the same."""
    try:
        if path.stat().st_size == len(data) and path.read_bytes() == data:
            return
    except FileNotFoundError:
        pass
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(data)
    fresh.replace(path)


def _key(recipe: bytes, run: Path) -> str:
    """Of the rig and the run: its results, and the report of its campaign."""
    digest = hashlib.sha256(recipe)
    files = (*execute.stored_results(run), *(run / name for name in CAMPAIGNS))
    for path in files:
        try:
            facts = path.stat()
        except OSError:
            continue
        digest.update(f"{path.relative_to(run)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _key_of(page: Path) -> str:
    try:
        with page.open("rb") as file:
            match = KEY.search(file.read(512))
    except OSError:
        return ""
    return match[1].decode() if match else ""


def _recipe() -> bytes:
    """Of what makes the pages: the reports of this rig, and the cases that it knows."""
    digest = hashlib.sha256(repr(sorted(suites.declared().items())).encode())
    here = Path(__file__).parent
    for path in sorted((*here.glob("*.py"), *text.TEMPLATES.iterdir())):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.digest()
