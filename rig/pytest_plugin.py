# SPDX-License-Identifier: GPL-2.0-only
"""pytest: every case of every suite is an item, and `def test_x(guest): guest.run("…")` works.

pytest --pyargs rig.suites --series batch-dirty-tlb-flush --revision v2 --arch x86_64,arm64
"""

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rig import printable

if TYPE_CHECKING:  # an installed plugin is imported by every pytest run: keep that cheap
    from rig.campaigns.options import Option, Request
    from rig.campaigns.results import Prepared
    from rig.errors import RigError
    from rig.guest.boot import Guest
    from rig.kernel.kbuild import KernelBuild
    from rig.suites.suite import Case, Suite
    from rig.verdict.rules import CaseResult

SUITES = Path(__file__).parent / "suites"
OWN = ("suites", "cases", "repeat", "each_patch", "after")
"""Options of a run for which pytest has words of its own: paths, -k, and one tree a session."""
BENCH = pytest.StashKey["Bench"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("rig", "kernel under test (rig)")
    group.addoption("--series", default="", help="series of patches/, or a path to an mbox")
    group.addoption(
        "--revision", default="", metavar="vN", help="its revision; the newest by default"
    )
    for entry in _options():
        words: dict[str, Any] = {"dest": entry.name, "default": None, "help": entry.help}
        if entry.kind is bool:
            group.addoption(entry.flag, action="store_true", **words)
            if entry.off:
                group.addoption(entry.off, action="store_false", dest=entry.name, default=None)
        else:
            group.addoption(entry.flag, type=entry.kind, choices=entry.choices or None, **words)


def _options() -> "list[Option]":
    from rig.campaigns.options import OPTIONS

    return [entry for name, entry in OPTIONS.items() if name not in OWN]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[BENCH] = Bench(config)


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[BENCH].check()


def pytest_unconfigure(config: pytest.Config) -> None:
    if BENCH in config.stash:
        config.stash[BENCH].close()


@dataclass(slots=True)
class Running:
    """A guest that is up, and what its cases have said so far."""

    prepared: "Prepared"
    guest: "Guest | None"
    """None in the seeded schedule, where each case has its own."""
    directory: Path
    began: float = field(default_factory=time.monotonic)
    cases: dict[str, list["CaseResult"]] = field(default_factory=dict)
    trouble: "RigError | None" = None
    """What kept a case from having a result."""

    def run(self, chosen: "Suite", case: "Case") -> "CaseResult":
        from rig.campaigns import pipeline
        from rig.suites import suite

        spec = self.prepared.spec
        if self.guest is not None:
            asked = spec.request
            some = replace(case.scaled(asked.iterations, asked.pages), promised=spec.promises)
            return suite.run_case(self.guest, chosen, some, seed=asked.seed)
        directory = self.directory / f"{chosen.name}.{case.name}"
        return pipeline.seeded_case(self.prepared, chosen, case, directory)


class Bench:
    """The kernels and guests of a pytest session, made when the first test asks for them."""

    def __init__(self, config: pytest.Config) -> None:
        self._options = config.option
        self._stack = ExitStack()
        self._prepared: dict[str, Prepared] = {}
        self._running: dict[str, Running] = {}
        self._failed: dict[str, RigError] = {}
        self._directory: Path | None = None
        self.requested: set[str] = set()
        """Suites that were named, and run only where they are."""

    def check(self) -> None:
        """Say what is wrong with the options, if any is given, before anything is collected."""
        from rig.campaigns import request
        from rig.errors import RigError
        from rig.shelves import Shelves

        given = self._options.series or self._options.revision or self._given()
        if not given:
            return
        if self._options.revision and not self._options.series:
            raise pytest.UsageError("--revision is of a series (--series NAME)")
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
        """The options of a Request that are on pytest's command line."""
        values = ((entry, getattr(self._options, entry.name)) for entry in _options())
        return {entry.name: entry.parsed(value) for entry, value in values if value is not None}

    def prepared(self, arch: str) -> "Prepared":
        from rig.campaigns import execute, pipeline, request
        from rig.cli.progress import reporter
        from rig.context import Context

        if arch not in self._prepared:
            context = Context.default()
            with reporter():
                asked = request.specs(context, self.request())
                spec = {spec.machine.arch: spec for spec in asked}[arch]
                self._prepared[arch] = pipeline.prepare(context, spec)
            if self._directory is None:
                self._directory = execute.new_directory(
                    context.store, f"pytest-{self.request().target}"
                )
        return self._prepared[arch]

    def running(self, arch: str) -> Running:
        """The guest; what kept it from coming up is raised for every case, and tried once."""
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
        from rig.guest import boot

        prepared = self.prepared(arch)
        assert self._directory is not None
        directory = self._directory / arch
        pipeline.explain(prepared, directory)
        if self.request().schedule == "seeded":
            self._running[arch] = Running(prepared, None, directory)
            return
        up = boot.boot(pipeline.machine_of(prepared.spec), prepared.software, directory)
        booted = self._stack.enter_context(up)
        self._running[arch] = Running(prepared, booted, directory)
        pipeline.check_mutant(booted.console.text(), prepared.spec)

    def close(self) -> None:
        """Stop the guests, then store what they said, like every other result."""
        from rig.campaigns import execute, pipeline
        from rig.verdict.rules import SuiteResult, Trouble

        self._stack.close()
        for arch, running in self._running.items():
            suites = tuple(
                SuiteResult(suite=name, cases=tuple(cases)) for name, cases in running.cases.items()
            )
            up = running.guest
            lost = running.trouble or self._failed.get(arch) or (up.lost if up else None)
            result = pipeline.finish(
                running.prepared,
                running.directory,
                suites=suites,
                trouble=Trouble.of(lost) if lost else None,
                detail=lost.detail if lost else "",
                boot_seconds=up.boot_seconds if up else 0,
                began=running.began,
            )
            execute.store_result(result, running.directory)
        self._running.clear()


# --- items -------------------------------------------------------------------------------------


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> "pytest.Collector | None":
    if path.parent == SUITES and (path / "__init__.py").is_file():
        return SuiteDirectory.from_parent(parent, path=path)
    return None


class SuiteDirectory(pytest.Directory):
    """A suite: an item for each case and architecture. It has no Python tests: C is its program."""

    def collect(self) -> "Iterator[pytest.Item]":
        from rig.suites import suite

        chosen, bench = suite.pick(self.path.name), self.config.stash[BENCH]
        if chosen.on_request:
            if not self.session.isinitpath(self.path):
                return
            bench.requested.add(chosen.name)
        for arch in bench.architectures():
            for case in chosen.cases:
                name = f"{case.name}[{arch}]"
                yield CaseItem.from_parent(self, name=name, suite=chosen, case=case, arch=arch)


class CaseItem(pytest.Item):
    """One case on one architecture.

    The case runs in the setup phase: what is not the kernel's fault is then an error in pytest's
    words, and only a FAIL is a failure.
    """

    def __init__(self, *, suite: "Suite", case: "Case", arch: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.suite, self.case, self.arch = suite, case, arch
        self.result: CaseResult | None = None
        self.keywords[arch] = True
        self.keywords[suite.name] = True

    def setup(self) -> None:
        from rig.errors import RigError
        from rig.verdict.rules import Outcome

        running = None
        try:
            running = self.config.stash[BENCH].running(self.arch)
            result = running.run(self.suite, self.case)
        except RigError as error:
            if running:
                running.trouble = error
            # Without pytrace: what was seen, not where in the plugin it was raised.
            pytest.fail(_explained(error), pytrace=False)
        running.cases.setdefault(self.suite.name, []).append(result)
        self.result = result
        self.user_properties.extend(result.counters)
        self.add_report_section("setup", "counters", _counters(result))
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
        """What was seen, not where in the plugin it was raised."""
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.suite.name}/{self.name}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Terminal, JUnit and all other reporters of pytest's show what a kernel or a series has said;
    of a test that has nothing to do with either this leaves all as it is."""
    report = yield
    if isinstance(item, CaseItem) or "rig_arch" in getattr(item, "fixturenames", ()):
        said, shown = f"{report.longrepr or ''}", printable.text(f"{report.longrepr or ''}")
        if isinstance(report.longrepr, tuple):  # why it was skipped
            path, line, why = report.longrepr
            report.longrepr = path, line, printable.text(why)
        elif said != shown:
            report.longrepr = shown
        report.sections = [(name, printable.text(text)) for name, text in report.sections]
        report.user_properties = [
            (printable.line(name), value) for name, value in report.user_properties
        ]
    return report


def _counters(result: "CaseResult") -> str:
    return "\n".join(f"{name} {value:,}" for name, value in result.counters)


def _explained(error: "RigError") -> str:
    """With its evidence and hint, as pytest shows nothing else."""
    return "\n".join(part for part in (error.message, error.detail, error.hint) if part)


# --- fixtures for tests of one's own -----------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if {"kernel", "guest"} & set(metafunc.fixturenames) and "rig_arch" in metafunc.fixturenames:
        names = metafunc.config.stash[BENCH].architectures()
        metafunc.parametrize("rig_arch", names, scope="session")


@pytest.fixture(scope="session")
def kernel(rig_arch: str, pytestconfig: pytest.Config) -> "KernelBuild":
    """The kernel under test, built."""
    return pytestconfig.stash[BENCH].prepared(rig_arch).build


@pytest.fixture(scope="session")
def guest(rig_arch: str, pytestconfig: pytest.Config) -> "Guest":
    """A guest running it: `guest.run("uname -r").stdout`."""
    up = pytestconfig.stash[BENCH].running(rig_arch).guest
    if up is None:
        pytest.fail("in the seeded schedule there is no guest to talk to", pytrace=False)
    return up
