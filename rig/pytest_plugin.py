# SPDX-License-Identifier: GPL-2.0-only
"""The pytest plugin: each case of a suite is an item, and tests can use the fixture `guest`.

pytest --pyargs rig.suites --series batch-dirty-tlb-flush --revision v2 --arch x86_64,arm64
"""

import os
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rig import printable

if TYPE_CHECKING:  # an installed plugin is imported by every pytest run: keep that cheap
    from rig.campaigns.live import Guests
    from rig.campaigns.options import Option, Request
    from rig.campaigns.results import Prepared
    from rig.errors import RigError
    from rig.guest.boot import Guest
    from rig.kernel.kbuild import KernelBuild
    from rig.suites.suite import Case, Suite
    from rig.verdict.rules import CaseResult

SUITES = Path(__file__).parent / "suites"
OWN = ("suites", "cases", "repeat", "each_patch", "after")
"""Options of a run that pytest does not take: it has paths and -k, and one tree for a session."""
BENCH = pytest.StashKey["Bench"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("rig", "kernel under test (rig)")
    group.addoption("--series", default="", help="A series in patches/, or the path of an mbox.")
    group.addoption(
        "--revision", default="", metavar="vN", help="Its revision [default: the newest]."
    )
    for entry in _options():
        common: dict[str, Any] = {"dest": entry.name, "default": None, "help": entry.help}
        if entry.kind is bool:
            group.addoption(entry.flag, action="store_true", **common)
            if entry.off:
                group.addoption(entry.off, action="store_false", dest=entry.name, default=None)
        else:
            group.addoption(entry.flag, type=entry.kind, choices=entry.choices or None, **common)


def _options() -> "list[Option]":
    from rig.campaigns.options import OPTIONS

    return [entry for name, entry in OPTIONS.items() if name not in OWN]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[BENCH] = Bench(config)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[BENCH].interrupted = exitstatus == pytest.ExitCode.INTERRUPTED


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[BENCH].check()


def pytest_terminal_summary(
    terminalreporter: "pytest.TerminalReporter", config: pytest.Config
) -> None:
    """With pytest-xdist, no process has all results: half of a run is no verdict."""
    reports = (report for some in terminalreporter.stats.values() for report in some)
    if _has_xdist(config) and any(getattr(report, "rig_case", False) for report in reports):
        terminalreporter.write_line("rig: with -n no verdict is stored; run without -n for one")


def _has_xdist(config: pytest.Config) -> bool:
    """Whether this is a worker of pytest-xdist, or the process that starts them."""
    return hasattr(config, "workerinput") or bool(config.getoption("numprocesses", None))


def pytest_unconfigure(config: pytest.Config) -> None:
    if BENCH in config.stash:
        config.stash[BENCH].close()


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


class Bench:
    """The kernels and guests of a pytest session, made when the first test asks for them."""

    def __init__(self, config: pytest.Config) -> None:
        self.interrupted = False
        """By Ctrl-C: then nothing is stored."""
        self.cases_of: set[str] = set()
        """Architectures on which a case of a suite was started. Other tests have no verdict."""
        self._xdist = _has_xdist(config)
        self._options = config.option
        self._stack = ExitStack()
        self._prepared: dict[str, Prepared] = {}
        self._running: dict[str, Running] = {}
        self._failed: dict[str, RigError] = {}
        self._directory: Path | None = None
        self.requested: set[str] = set()
        """Named suites that do not run by default (Suite.on_request)."""

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
        values = ((entry, getattr(self._options, entry.name)) for entry in _options())
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

        self._stack.close()
        to_store = () if self.interrupted or self._xdist else self.cases_of
        for arch, running in self._running.items():
            if arch not in to_store:
                continue
            suites = tuple(
                SuiteResult(suite=name, cases=tuple(cases)) for name, cases in running.cases.items()
            )
            guests = running.guests
            error = running.trouble or self._failed.get(arch) or (guests and guests.failure)
            lost = guests.detail if guests else ""
            result = pipeline.finish(
                running.asked(tuple(name for name in self._running if name in to_store)),
                running.directory,
                suites=suites,
                trouble=Trouble.of(error) if error else None,
                detail="\n\n".join(filter(None, (lost, error.detail if error else ""))),
                boot_seconds=guests.boot_seconds if guests else 0,
                began=running.began,
                idle=guests.idle if guests else "",
            )
            execute.store_result(result, running.directory)
        self._running.clear()


# --- items -------------------------------------------------------------------------------------


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> "pytest.Collector | None":
    if path.parent == SUITES and (path / "__init__.py").is_file():
        return SuiteDirectory.from_parent(parent, path=path)
    return None


class SuiteDirectory(pytest.Directory):
    """A suite's directory. Its cases belong to a file in it, because on a command line pytest takes
    FILE::CASE[ARCH], and no cases of a directory."""

    def collect(self) -> "Iterator[SuiteFile]":
        path = self.path / "__init__.py"
        # pytest's own id would not have the whole path if the file is outside pytest's rootdir.
        nodeid = Path(os.path.relpath(path, self.config.rootpath)).as_posix()
        yield SuiteFile.from_parent(self, path=path, nodeid=nodeid)


class SuiteFile(pytest.File):
    """A suite: an item for each case and architecture. Its tests are C programs, not Python."""

    def collect(self) -> "Iterator[pytest.Item]":
        from rig.suites.suite import pick

        suite, bench = pick(self.path.parent.name), self.config.stash[BENCH]
        if suite.on_request:
            if not any(map(self.session.isinitpath, (self.path, self.path.parent))):
                return
            bench.requested.add(suite.name)
        for arch in bench.architectures():
            for case in suite.cases:
                name = f"{case.name}[{arch}]"
                yield CaseItem.from_parent(self, name=name, suite=suite, case=case, arch=arch)


class CaseItem(pytest.Item):
    """One case on one architecture.

    The case runs in the setup phase, where pytest reports a problem as an error: so BROKEN and
    INCONCLUSIVE are errors, and only a FAIL is a failure.
    """

    def __init__(self, *, suite: "Suite", case: "Case", arch: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.suite, self.case, self.arch = suite, case, arch
        self.result: CaseResult | None = None
        self.keywords.update({arch: True, suite.name: True})

    def setup(self) -> None:
        from rig.errors import RigError
        from rig.verdict.rules import Outcome

        running = None
        self.config.stash[BENCH].cases_of.add(self.arch)
        try:
            running = self.config.stash[BENCH].running(self.arch)
            result = running.run(self.suite, self.case)
        except RigError as error:
            if running:
                running.trouble = error
            # No pytrace: the place in the plugin where it was raised is of no interest.
            pytest.fail(_explained(error), pytrace=False)
        running.cases.setdefault(self.suite.name, []).append(result)
        self.result = result
        self.user_properties.extend(result.counters)
        counters = "\n".join(f"{name} {value:,}" for name, value in result.counters)
        self.add_report_section("setup", "counters", counters)
        if result.outcome is Outcome.SKIP:
            pytest.skip(result.reason)
        if result.outcome in (Outcome.BROKEN, Outcome.INCONCLUSIVE):
            pytest.fail(f"{result.outcome}: {result.reason}", pytrace=False)

    def runtest(self) -> None:
        from rig.verdict.rules import Outcome

        assert self.result is not None
        if self.result.outcome is Outcome.FAIL:
            raise AssertionError("\n".join([self.result.reason, *self.result.evidence]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """The reason and the evidence, without a Python traceback."""
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.suite.name}/{self.name}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape control characters in the reports of the rig's tests: they hold a kernel's output.

    Reports of other tests are not changed.
    """
    report = yield
    if isinstance(item, CaseItem):
        report.__dict__["rig_case"] = True  # xdist sends it to the controller
    if isinstance(item, CaseItem) or "rig_arch" in getattr(item, "fixturenames", ()):
        raw, shown = f"{report.longrepr or ''}", printable.text(f"{report.longrepr or ''}")
        if isinstance(report.longrepr, tuple):  # a skipped test
            path, line, reason = report.longrepr
            report.longrepr = path, line, printable.text(reason)
        elif raw != shown:
            report.longrepr = shown
        report.sections = [(name, printable.text(text)) for name, text in report.sections]
        report.user_properties = [
            (printable.line(name), value) for name, value in report.user_properties
        ]
    return report


def _explained(error: "RigError") -> str:
    """Message, evidence and hint: pytest shows only this text."""
    return "\n".join(part for part in (error.message, error.detail, error.hint) if part)


# --- fixtures for the user's own tests ----------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if {"kernel", "guest"} & set(metafunc.fixturenames) and "rig_arch" in metafunc.fixturenames:
        names = metafunc.config.stash[BENCH].architectures()
        metafunc.parametrize("rig_arch", names, scope="session")


@pytest.fixture(scope="session")
def kernel(rig_arch: str, pytestconfig: pytest.Config) -> "KernelBuild":
    """The build of the kernel under test."""
    return pytestconfig.stash[BENCH].prepared(rig_arch).build


@pytest.fixture(scope="session")
def guest(rig_arch: str, pytestconfig: pytest.Config) -> "Guest":
    """A guest that runs it: `guest.run("uname -r").stdout`."""
    running = pytestconfig.stash[BENCH].running(rig_arch)
    if running.guests is None:
        pytest.fail(
            "the fixture `guest` needs --schedule live: a seeded guest takes no commands",
            pytrace=False,
        )
    return running.guests.guest()
