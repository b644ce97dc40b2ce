# SPDX-License-Identifier: GPL-2.0-only
"""The kernels and guests of a pytest session, and its result."""

import contextlib
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rig import printable, signals

if TYPE_CHECKING:  # an installed plugin is imported by every pytest run: keep that cheap
    from rig.campaigns.live import Guests
    from rig.campaigns.options import Option, Request
    from rig.campaigns.results import Prepared, RunResult, RunSpec
    from rig.errors import RigError
    from rig.suites.suite import Case, Suite
    from rig.verdict.rules import CaseResult

OWN = ("suites", "cases", "repeat", "each_patch", "after")
"""Options of a run that pytest does not take: it has paths and -k, and one tree for a session."""


def options() -> "list[Option]":
    from rig.campaigns.options import OPTIONS

    return [entry for name, entry in OPTIONS.items() if name not in OWN]


def has_xdist(config: pytest.Config) -> bool:
    """Whether this is a worker of pytest-xdist, or the process that starts them."""
    return hasattr(config, "workerinput") or bool(config.getoption("numprocesses", None))


@dataclass(slots=True)
class Running:
    """A guest that has booted, and the results of its cases so far."""

    prepared: "Prepared"
    guests: "Guests | None"
    """None in the seeded schedule, where each case has its own guest."""
    directory: Path
    began: float = field(default_factory=time.monotonic)
    cases: dict[str, list["CaseResult"]] = field(default_factory=dict)
    trouble: "RigError | None" = None
    """The error because of which a case has no result."""

    def asked(self, arch: tuple[str, ...]) -> "Prepared":
        """What was prepared, with these architectures: -k may leave out some that --arch names."""
        origin = self.prepared.provenance
        asked = replace(origin.request, arch=arch)
        return replace(self.prepared, provenance=replace(origin, request=asked))

    def run(self, suite: "Suite", case: "Case") -> "CaseResult":
        from rig.campaigns import pipeline

        spec = self.prepared.spec
        if self.guests is not None:
            request = spec.request
            scaled = case.scaled(request.iterations, request.pages)
            scaled = replace(scaled, promised=spec.promises)
            return self.guests.run(suite, scaled, seed=request.seed)
        directory = self.directory / f"{suite.name}.{case.name}"
        return pipeline.seeded_case(self.prepared, suite, case, directory)

    def end(self) -> None:
        from rig.errors import RigError

        try:
            if self.guests is not None:
                self.guests.end()
        except RigError as error:
            self.trouble = self.trouble or error


class Bench:
    """The kernels and guests of a pytest session, made when the first test asks for them."""

    def __init__(self, config: pytest.Config) -> None:
        signals.wake_main()
        self.interrupted = False
        """By Ctrl-C: then nothing is stored."""
        self.cases_of: set[str] = set()
        """Architectures on which a case of a suite was started. Other tests have no verdict."""
        self.xdist = has_xdist(config)
        self._options = config.option
        self._stack = ExitStack()
        self._prepared: dict[str, Prepared] = {}
        self._running: dict[str, Running] = {}
        self._failed: dict[str, RigError] = {}
        self._directory: Path | None = None
        self.requested: set[str] = set()
        """Named suites that do not run by default (Suite.on_request)."""
        self.whose: tuple[str, ...] = ()
        """Lines that say whether the failures are the series' or its base's."""

    def check(self) -> None:
        """Raise UsageError for wrong options, before anything is collected."""
        from rig.campaigns import request
        from rig.errors import RigError
        from rig.shelves import Shelves

        given = self._options.series or self._options.revision or self._given()
        if not given:
            return
        if self._options.revision and not self._options.series:
            raise pytest.UsageError(
                f"--revision {self._options.revision} needs a series (--series NAME)"
            )
        try:
            request.check(Shelves.default(), self.request())
        except RigError as error:
            hint = f" ({error.hint})" if error.hint else ""
            raise pytest.UsageError(printable.text(f"{error.message}{hint}")) from error

    def architectures(self) -> tuple[str, ...]:
        from rig import arch

        return tuple(arch.pick(name).name for name in self.request().arch)

    def request(self) -> "Request":
        from rig.campaigns.options import Request
        from rig.kernel.base import DEFAULT
        from rig.suites.suite import standard

        given, options = self._given(), self._options
        revision = f"@{options.revision}" if options.revision else ""
        target = f"{options.series}{revision}"
        if not options.series:
            target = given.pop("base", DEFAULT)
        if self.requested:
            given["suites"] = (*standard(), *sorted(self.requested))
        return Request(target=target, **given)

    def _given(self) -> dict[str, Any]:
        """The options of a Request that pytest's command line has."""
        values = ((entry, getattr(self._options, entry.name)) for entry in options())
        return {entry.name: entry.parsed(value) for entry, value in values if value is not None}

    def prepared(self, arch: str) -> "Prepared":
        from rig.campaigns import execute, pipeline, request
        from rig.cli.progress import reporter
        from rig.context import Context

        if arch not in self._prepared:
            context = Context.default()
            with reporter():
                specs = request.specs(context, self.request())
                spec = {spec.machine.arch: spec for spec in specs}[arch]
                self._prepared[arch] = pipeline.prepare(context, spec)
            if self._directory is None:
                self._directory = execute.new_directory(
                    context.store, f"pytest-{self.request().target}"
                )
        return self._prepared[arch]

    def running(self, arch: str) -> Running:
        """What runs the cases. If the first guest does not boot, every case raises that error."""
        from rig.errors import RigError

        if arch in self._failed:
            raise self._failed[arch]
        try:
            if arch not in self._running:
                self._boot(arch)
        except RigError as error:
            self._failed[arch] = error
            raise
        return self._running[arch]

    def _boot(self, arch: str) -> None:
        from rig.campaigns import pipeline
        from rig.campaigns.live import Guests

        prepared = self.prepared(arch)
        assert self._directory is not None
        directory = self._directory / arch
        pipeline.explain(prepared, directory)
        if self.request().schedule == "seeded":
            self._running[arch] = Running(prepared, None, directory)
            return
        guests = self._stack.enter_context(Guests(prepared, directory))
        self._running[arch] = Running(prepared, guests, directory)
        guests.guest()

    def close(self) -> None:
        """Stop the guests, then store the results of suites like those of any other run."""
        from rig.campaigns import execute, pipeline
        from rig.verdict.rules import SuiteResult, Trouble

        to_store = set[str]() if self.interrupted or self.xdist else self.cases_of
        for arch in to_store & self._running.keys():
            self._running[arch].end()
        self._stack.close()
        stored: dict[str, RunResult] = {}
        for arch, running in self._running.items():
            if arch not in to_store:
                continue
            suites = tuple(
                SuiteResult(suite=name, cases=tuple(cases)) for name, cases in running.cases.items()
            )
            guests = running.guests
            error = running.trouble or self._failed.get(arch) or (guests and guests.failure)
            lost = guests.detail if guests else ""
            stored[arch] = pipeline.finish(
                running.asked(tuple(name for name in self._running if name in to_store)),
                running.directory,
                suites=suites,
                trouble=Trouble.of(error) if error else None,
                detail="\n\n".join(filter(None, (lost, error.detail if error else ""))),
                boot_seconds=guests.boot_seconds if guests else 0,
                began=running.began,
                idle=guests.idle if guests else "",
            )
            execute.store_result(stored[arch], running.directory)
        specs = [self._running[arch].prepared.spec for arch in stored]
        self._running.clear()
        if specs and self._directory:
            self._blame(specs, tuple(stored.values()), self._directory)

    def _blame(
        self, specs: "list[RunSpec]", results: "tuple[RunResult, ...]", directory: Path
    ) -> None:
        """Compare the failures with the base. Which patch it was needs builds: not in pytest."""
        from rig.campaigns import blame
        from rig.cli.progress import reporter
        from rig.context import Context

        # The items have their outcomes, and the result is stored: Ctrl-C ends only this.
        with contextlib.suppress(KeyboardInterrupt), reporter():
            blamed = blame.blame(Context.default(), specs, results, directory, search=False)
            self.whose = tuple(
                f"rig: {result.machine.arch}: {each.failure}: {each.summary}: fails in"
                f" {each.series} runs, on {each.against} in {each.base}"
                for result in blamed
                for each in result.blame
            )
