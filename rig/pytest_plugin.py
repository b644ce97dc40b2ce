# SPDX-License-Identifier: GPL-2.0-only
"""The pytest plugin: each case of a suite is an item, and tests can use the fixture `guest`.

pytest --pyargs rig.suites --series batch-dirty-tlb-flush --revision v2 --arch x86_64,arm64
"""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rig import printable
from rig.cli.session import Bench
from rig.cli.session import options as session_options

if TYPE_CHECKING:  # an installed plugin is imported by every pytest run: keep that cheap
    from rig.errors import RigError
    from rig.guest.boot import Guest
    from rig.kernel.kbuild import KernelBuild
    from rig.suites.suite import Case, Suite
    from rig.verdict.rules import CaseResult

SUITES = Path(__file__).parent / "suites"
BENCH = pytest.StashKey[Bench]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("rig", "kernel under test (rig)")
    group.addoption("--series", default="", help="A series in patches/, or the path of an mbox.")
    group.addoption(
        "--revision", default="", metavar="vN", help="Its revision [default: the newest]."
    )
    for entry in session_options():
        common: dict[str, Any] = {"dest": entry.name, "default": None, "help": entry.help}
        if entry.kind is bool:
            group.addoption(entry.flag, action="store_true", **common)
            if entry.off:
                group.addoption(entry.off, action="store_false", dest=entry.name, default=None)
        else:
            group.addoption(entry.flag, type=entry.kind, choices=entry.choices or None, **common)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[BENCH] = Bench(config)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    bench = session.config.stash[BENCH]
    bench.interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
    bench.close()


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[BENCH].check()


def pytest_terminal_summary(
    terminalreporter: "pytest.TerminalReporter", config: pytest.Config
) -> None:
    """Whose the failures are. With pytest-xdist, no process has all results: half of a run is no
    verdict."""
    for line in config.stash[BENCH].whose:
        terminalreporter.write_line(printable.line(line))
    reports = (report for some in terminalreporter.stats.values() for report in some)
    if config.stash[BENCH].xdist and any(getattr(report, "rig_case", False) for report in reports):
        terminalreporter.write_line("rig: with -n no verdict is stored; run without -n for one")


def pytest_unconfigure(config: pytest.Config) -> None:
    if BENCH in config.stash:
        config.stash[BENCH].close()


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
