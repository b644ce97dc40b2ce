# SPDX-License-Identifier: GPL-2.0-only
"""Parses KTAP, the kernel's test protocol. No input makes the parser raise.

The format is the kernel's Documentation/dev-tools/ktap.rst, and two kinds of diagnostic line of the
rig's own, which belong to the next result line:

    # counter NAME VALUE
    # evidence TEXT
"""

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum

LINE_MAX = 4096
"""Longer lines are cut: a broken program must not fill the report."""
REMARKS_MAX = 1000
"""Diagnostic lines kept per test, and lines of evidence."""
PROBLEMS_MAX = 20
DEPTH_MAX = 16

VERSION = re.compile(r"(?:KTAP version 1|TAP version 1[34])$")
PLAN = re.compile(r"1\.\.(?P<count>[0-9]{1,9})(?:\s*#\s*SKIP\b\s*(?P<reason>.*))?$")
RESULT = re.compile(
    r"(?P<ok>ok|not ok)(?=\s|$)(?:\s+(?P<number>[0-9]{1,9})(?=\s|$))?(?:\s+-(?=\s|$))?"
    r"\s*(?P<name>[^#]*)(?:#\s*(?P<rest>.*))?$"
)
DIRECTIVE = re.compile(r"(?P<word>SKIP|TODO|XFAIL|TIMEOUT|ERROR)\b[:\s]*(?P<reason>.*)$")
BAIL_OUT = re.compile(r"Bail out!\s*(?P<reason>.*)$", re.IGNORECASE)
COUNTER = re.compile(r"(?P<name>[a-z0-9_]+)\s+(?P<value>[0-9]{1,20})$")
KERNEL_LOG = re.compile(r"\[\s*\d+\.\d{6}\]")
# All of C0 but the tab. surrogateescape turns invalid bytes into halves of surrogate pairs.
CONTROL = {
    code: f"\\x{code & 0xFF:02x}"
    for codes in (range(9), range(10, 32), range(127, 160), range(0xD800, 0xE000))
    for code in codes
}


class Directive(StrEnum):
    SKIP = "SKIP"
    TODO = "TODO"
    XFAIL = "XFAIL"
    TIMEOUT = "TIMEOUT"
    ERROR = "ERROR"


@dataclass(frozen=True, kw_only=True, slots=True)
class KtapTest:
    """A result line and the diagnostic lines before it."""

    number: int
    name: str
    ok: bool
    directive: Directive | None = None
    reason: str = ""
    counters: tuple[tuple[str, int], ...] = ()
    evidence: tuple[str, ...] = ()
    diagnostics: tuple[str, ...] = ()
    subtests: tuple["KtapTest", ...] = ()

    @property
    def failed(self) -> bool:
        """Not ok, and no directive says that this is expected."""
        expected = (Directive.SKIP, Directive.TODO, Directive.XFAIL)
        return not self.ok and self.directive not in expected


@dataclass(frozen=True, kw_only=True, slots=True)
class KtapReport:
    """`problems` says why the report cannot be trusted; it is empty for valid output."""

    tests: tuple[KtapTest, ...]
    plan: int | None
    bail_out: str | None
    problems: tuple[str, ...]
    skip: str | None = None
    """The reason of `1..0 # SKIP reason`, where there are no tests at all."""
    diagnostics: tuple[str, ...] = ()
    """Diagnostic lines without a result line after them, as printed; a crash leaves some."""


@dataclass(kw_only=True, slots=True)
class _Level:
    """The tests at one indentation, while they are parsed."""

    indent: int
    versioned: bool = False
    plan: int | None = None
    tests: list[KtapTest] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    counters: dict[str, int] = field(default_factory=dict)
    evidence: list[str] = field(default_factory=list)
    diagnostics: list[str] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    subtests: tuple[KtapTest, ...] = ()


def _keep(remarks: list[str], text: str) -> None:
    if len(remarks) < REMARKS_MAX:
        remarks.append(text)
    elif len(remarks) == REMARKS_MAX:
        remarks.append(f"(more than {REMARKS_MAX} lines: the rest is cut)")


class _Parser:
    def __init__(self, *, foreign: bool) -> None:
        self.foreign = foreign
        self.levels: list[_Level] = []
        self.problems: list[str] = []
        self.more_problems = 0
        self.bail_out: str | None = None
        self.skip: str | None = None
        self.line = 0

    def problem(self, text: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(f"line {self.line}: {text}" if self.line else text)
        else:
            self.more_problems += 1

    def feed(self, line: str) -> None:
        body = line.lstrip(" ")
        indent = len(line) - len(body)
        if VERSION.match(body):
            self._version(indent)
        elif match := BAIL_OUT.match(body):
            self.bail_out = match["reason"].strip()
        elif match := PLAN.match(body):
            self._plan(self._level(indent), match)
        elif match := RESULT.match(body):
            self._result(self._level(indent), match)
        elif body.startswith("#"):
            self._diagnostic(indent, body[1:].strip())
        elif KERNEL_LOG.match(body):
            # On a shared console kernel messages may be between the lines; KTAP allows that.
            self._remark(self.levels[-1] if self.levels else self._open(0), body)
        elif self.foreign:
            self._remark(self.levels[-1] if self.levels else self._open(0), body)
        else:
            self.problem(f"not KTAP: {body[:80]!r}")
            if self.levels:
                self._remark(self.levels[-1], body)

    def _open(self, indent: int) -> _Level:
        level = _Level(indent=indent)
        if len(self.levels) < DEPTH_MAX:
            self.levels.append(level)
        else:
            self.problem(f"nested more than {DEPTH_MAX} deep")
        return level

    def _level(self, indent: int) -> _Level:
        """The level for lines of this indentation. Levels nested in it are closed."""
        while len(self.levels) > 1 and self.levels[-1].indent > indent:
            self._close()
        if self.levels and indent <= self.levels[-1].indent:
            return self.levels[-1]
        return self._open(indent)

    def _close(self) -> None:
        level = self.levels.pop()
        self._finish(level)
        self.levels[-1].subtests += tuple(level.tests)

    def _finish(self, level: _Level) -> None:
        """Check the plan of a level, and add the remarks at its end to its last test."""
        if self.bail_out is not None:
            return
        if not level.versioned and not self.foreign:
            self.problem("no version line")
        if level.counters or level.evidence:
            self.problem("counters or evidence without a result line: the output is truncated")
        elif level.tests:
            last = level.tests[-1]
            level.tests[-1] = replace(last, diagnostics=(*last.diagnostics, *level.diagnostics))
            level.raw.clear()
        if level.subtests:
            self.problem("subtests without a result line of their parent test")
        if level.plan is None:
            self.problem("no plan")
        elif len(level.tests) != level.plan:
            self.problem(f"{level.plan} tests planned, {len(level.tests)} reported")

    def _version(self, indent: int) -> None:
        level = self._level(indent)
        if level.versioned or level.tests or level.plan is not None:
            self.problem("a version line after other lines")
        level.versioned = True

    def _plan(self, level: _Level, match: re.Match[str]) -> None:
        if level.plan is not None:
            self.problem("a second plan")
            return
        level.plan = int(match["count"])
        if match["reason"] is not None and level.plan == 0 and level is self.levels[0]:
            self.skip = match["reason"].strip()

    def _diagnostic(self, indent: int, text: str) -> None:
        if text.startswith("Subtest:"):
            # KUnit before v5.20 and TAP 14 have this line instead of a version line.
            self._level(indent).versioned = True
        level = self._level(min(indent, self.levels[-1].indent) if self.levels else indent)
        word, _, rest = text.partition(" ")
        if self.foreign:
            self._remark(level, text)
        elif word == "counter":
            self._counter(level, text, rest.strip())
        elif word == "evidence" and rest.strip():
            _keep(level.evidence, rest.strip())
            _keep(level.raw, text)
        else:
            self._remark(level, text)

    def _counter(self, level: _Level, text: str, rest: str) -> None:
        _keep(level.raw, text)
        if not (match := COUNTER.match(rest)):
            self.problem(f"malformed counter: {text[:80]!r}")
        elif match["name"] in level.counters:
            self.problem(f"two values of counter {match['name']}")
        else:
            level.counters[match["name"]] = int(match["value"])

    def _remark(self, level: _Level, text: str) -> None:
        _keep(level.diagnostics, text)
        _keep(level.raw, text)

    def _result(self, level: _Level, match: re.Match[str]) -> None:
        expected = len(level.tests) + 1
        rest = (match["rest"] or "").strip()
        directive = DIRECTIVE.match(rest)
        test = KtapTest(
            number=int(match["number"] or expected),
            name=match["name"].strip(),
            ok=match["ok"] == "ok",
            directive=Directive(directive["word"]) if directive else None,
            reason=directive["reason"].strip() if directive else rest,
            counters=tuple(level.counters.items()),
            evidence=tuple(level.evidence),
            diagnostics=tuple(level.diagnostics),
            subtests=level.subtests,
        )
        if not match["number"]:
            self.problem(f"the result of {test.name!r} has no number")
        self._check(test, expected, level.names)
        level.names.add(test.name)
        level.tests.append(test)
        level.subtests = ()
        level.counters.clear()
        for pending in (level.evidence, level.diagnostics, level.raw):
            pending.clear()

    def _check(self, test: KtapTest, expected: int, names: set[str]) -> None:
        if test.number != expected:
            self.problem(f"test number {test.number}, expected {expected}")
        if test.name and test.name in names and not self.foreign:
            self.problem(f"two results of {test.name!r}")
        if test.ok and test.directive in (Directive.TIMEOUT, Directive.ERROR):
            self.problem(f"{test.name!r} is ok, but has the directive {test.directive}")
        if test.ok and (failed := [sub.name for sub in test.subtests if sub.failed]):
            self.problem(f"{test.name!r} is ok, but its subtest {failed[0]!r} is not")

    def report(self) -> KtapReport:
        self.line = 0
        while len(self.levels) > 1:
            self._close()
        top = self.levels[0] if self.levels else _Level(indent=0)
        self._finish(top)
        more = [f"and {self.more_problems} more problems"] if self.more_problems else []
        return KtapReport(
            tests=tuple(top.tests),
            plan=top.plan,
            bail_out=self.bail_out,
            problems=(*self.problems, *more),
            skip=self.skip,
            diagnostics=tuple(top.raw),
        )


def _sane(line: str) -> str:
    """The line without control characters, which terminals and XML reports must not get."""
    line = line.rstrip("\r")
    if len(line) > LINE_MAX:
        line = f"{line[:LINE_MAX]} … ({len(line) - LINE_MAX} characters cut)"
    return line.translate(CONTROL).rstrip()


def parse(text: str, *, foreign: bool = False) -> KtapReport:
    """Parse the output of a program. The report's `problems` lists what is wrong with it.

    `foreign` is for programs that are not the rig's. Unknown lines are then remarks, as ktap.rst
    says; the version line may be absent; two results may have the same name; and there are no
    counters and no evidence.
    """
    parser = _Parser(foreign=foreign)
    *lines, rest = text.split("\n")
    for number, line in enumerate([*lines, rest] if rest else lines, 1):
        parser.line = number
        if sane := _sane(line):
            parser.feed(sane)
        if parser.bail_out is not None:
            break
    if rest and parser.bail_out is None:
        parser.problem("the last line has no newline: the output is truncated")
    return parser.report()
