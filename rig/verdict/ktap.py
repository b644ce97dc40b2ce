# SPDX-License-Identifier: GPL-2.0-only
"""Parses KTAP, the kernel's test protocol. No input makes the parser raise.

The format is the kernel's Documentation/dev-tools/ktap.rst, and two kinds of diagnostic line of the
rig's own, which belong to the next result line:

    # counter NAME VALUE
    # evidence TEXT

The rig's own programs are read strictly: they print what guestlib/ktap.c prints, and nothing else.
Programs of others are read as ktap.rst allows and as kunit_parser.py of the kernel reads them.
"""

import re
from dataclasses import dataclass, field, replace

from rig.verdict import lines, resultline
from rig.verdict.resultline import NONE, Counts, Directive, KtapTest

LINE_MAX = 4096
"""Longer lines are cut: a broken program must not fill the report."""
REMARKS_MAX = 1000
"""Diagnostic lines kept per test, and lines of evidence."""
PROBLEMS_MAX = 20
DEPTH_MAX = 16

VERSION = re.compile(r"(?:KTAP version 1|TAP version 1[34])$")
PLAN = re.compile(r"1\.\.(?P<count>[0-9]{1,9})\s*(?:#\s*(?:(?i:SKIP)\w*[:\s]*(?P<reason>.*)|.*))?$")
BAIL_OUT = re.compile(r"Bail out!\s*(?P<reason>.*)$", re.IGNORECASE)
TOTALS = re.compile(r"Totals: pass:(\d+) fail:(\d+) xfail:(\d+) xpass:(\d+) skip:(\d+) error:(\d+)")
COUNTER = re.compile(r"(?P<name>[a-z0-9_]+)\s+(?P<value>[0-9]{1,20})$")
KERNEL_LOG = re.compile(r"\[\s*\d+\.\d{6}\]")
CONTROL = {code: f"\\x{code & 0xFF:02x}" for code in lines.CONTROL}


@dataclass(frozen=True, kw_only=True, slots=True)
class KtapReport:
    """`problems` says why the report cannot be trusted; it is empty for valid output."""

    tests: tuple[KtapTest, ...]
    plan: int | None
    bail_out: str | None
    problems: tuple[str, ...]
    unfinished: tuple[str, ...] = ()
    """The problems that a program has because it ended early."""
    skip: str | None = None
    """The reason of `1..0 # SKIP reason`, where there are no tests at all."""
    diagnostics: tuple[str, ...] = ()
    """Diagnostic lines without a result line after them, as printed; a crash leaves some."""
    announced: bool = False
    """There is a line of KTAP: where there are no results then, nothing was tested."""
    counts: Counts = NONE


@dataclass(kw_only=True, slots=True)
class _Level:
    """The tests at one indentation, while they are parsed."""

    indent: int
    name: str = ""
    """From KUnit's line "# Subtest: NAME", which is before the result line with the name."""
    versioned: bool = False
    announces: bool = False
    """Such a line was at this indentation: deeper lines are subtests, without a version line."""
    plan: int | None = None
    tests: list[KtapTest] = field(default_factory=list)
    counts: Counts = NONE
    names: set[str] = field(default_factory=set)
    counters: dict[str, int] = field(default_factory=dict)
    evidence: list[str] = field(default_factory=list)
    diagnostics: list[str] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    below: "_Level | None" = None
    """Subtests that are complete, before the result line of their test."""

    @property
    def begun(self) -> bool:
        return bool(self.versioned or self.tests or self.plan is not None)


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
        self.unfinished: list[str] = []
        self.more_problems = 0
        self.bail_out: str | None = None
        self.skip: str | None = None
        self.announced = False
        self.totals: tuple[int, ...] = ()
        self.line = 0

    def problem(self, text: str, *, unfinished: bool = False) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(f"line {self.line}: {text}" if self.line else text)
            self.unfinished += self.problems[-1:] if unfinished else []
        else:
            self.more_problems += 1

    def feed(self, line: str) -> None:
        body = line.lstrip(" \t" if self.foreign else " ")
        indent = len(line[: len(line) - len(body)].expandtabs())
        if (lines.VERSION if self.foreign else VERSION).match(body):
            self._version(indent)
        elif match := BAIL_OUT.match(body):
            self.bail_out = match["reason"].strip()
        elif match := PLAN.match(body):
            self._plan(self._level(indent, header=self._planned()), match)
        elif test := resultline.parse(body):
            self._result(self._level(indent), test)
        else:
            self._other(indent, body, line)
            return
        self.announced = True

    def _other(self, indent: int, body: str, line: str) -> None:
        if body.startswith("#"):
            self._diagnostic(indent, body[1:].strip())
        elif self.foreign or KERNEL_LOG.match(body):
            # On a shared console kernel messages may be between the lines; KTAP allows that.
            self._remark(self.levels[-1] if self.levels else self._open(0), line.lstrip(" "))
        else:
            self.problem(f"not KTAP: {body[:80]!r}")
            if self.levels:
                self._remark(self.levels[-1], body)

    def feed_foreign(self, line: str) -> None:
        plain = lines.plain(line)
        if self.bail_out is not None:
            self.after_bail_out(plain)
            return
        expected = len(self.levels[-1].tests) + 1 if self.levels else 1
        if lines.torn(plain, expected, ktap=self.announced):
            self.problem(f"a result in the middle of a line: {plain[-80:]!r}")
        if sane := _sane(plain if lines.PROTOCOL.match(plain) else line):
            self.feed(sane)

    def after_bail_out(self, line: str) -> None:
        """A program that goes on (a child of it gave up) may still report a failure."""
        if test := resultline.parse(line.lstrip()):
            self._result(self.levels[0] if self.levels else self._open(0), test)
            self.problem("a result after `Bail out!`")

    def _open(self, indent: int) -> _Level:
        level = _Level(indent=indent)
        if self.levels:
            self._lost(self.levels[-1])
        if len(self.levels) < DEPTH_MAX:
            self.levels.append(level)
        else:
            self.problem(f"nested more than {DEPTH_MAX} deep")
        return level

    def _planned(self) -> bool:
        return bool(self.levels) and self.levels[-1].plan is not None

    def _level(self, indent: int, *, header: bool = False) -> _Level:
        """The level for lines of this indentation. Levels nested in it are closed.

        The lines of a foreign report that are indented more are its own, as kunit_parser.py reads
        them, unless they are the `header` of subtests: a version line, "# Subtest:", another plan.
        """
        while len(self.levels) > 1 and self.levels[-1].indent > indent:
            self._close()
        level = self.levels[-1] if self.levels else self._open(indent)
        if indent <= level.indent:
            return level
        if not self.foreign:
            return self._open(indent)
        if len(self.levels) == 1 and not level.begun and not level.announces:
            level.indent = indent
        elif header or level.announces:
            return self._open(indent)
        return level

    def _close(self) -> None:
        level = self.levels.pop()
        self._finish(level)
        if self.levels[-1].below:
            level.tests[:0] = self.levels[-1].below.tests
        self.levels[-1].below = level

    def _lost(self, level: _Level) -> None:
        """Keep the subtests of a test whose own result line is missing."""
        if not self.foreign or level.below is None:
            return
        below, level.below = level.below, None
        self.problem(f"the test {below.name!r} has no result line", unfinished=True)
        level.tests.append(
            KtapTest(
                number=len(level.tests) + 1,
                name=below.name,
                ok=False,
                printed=False,
                subtests=tuple(below.tests),
            )
        )
        level.counts += below.counts + Counts(errors=1)

    def _finish(self, level: _Level) -> None:
        """Check the plan of a level, and add the remarks at its end to its last test."""
        self._lost(level)
        missing = max((level.plan or 0) - len(level.tests), 0)
        level.counts += Counts(crashed=missing, errors=missing or int(not level.tests))
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
        if level.below:
            self.problem("subtests without a result line of their parent test")
        if level.plan is not None and len(level.tests) != level.plan:
            text = f"{level.plan} tests planned, {len(level.tests)} reported"
            self.problem(text, unfinished=bool(missing))
        elif level.plan is None and not self.foreign:
            self.problem("no plan")
        elif self.foreign and self.levels and not level.tests:
            self.problem(f"no subtest of {level.name!r} was run")

    def _version(self, indent: int) -> None:
        level = self._header(indent)
        if level.versioned or level.tests or level.plan is not None:
            self.problem("a version line after other lines")
        level.versioned = True

    def _header(self, indent: int) -> _Level:
        level = self._level(indent, header=True)
        if self.foreign and level.tests and len(self.levels) > 1:
            # The next subtests: the result line of the test before is missing.
            self._close()
            level = self._open(indent)
        return level

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
            self._subtest(indent, text.partition(":")[2].strip())
        if self.foreign:
            level = self.levels[-1] if self.levels else self._open(indent)
            if (match := TOTALS.match(text)) and level is self.levels[0]:
                self.totals = tuple(map(int, match.groups()))
            self._remark(level, text)
            return
        level = self._level(min(indent, self.levels[-1].indent) if self.levels else indent)
        word, _, rest = text.partition(" ")
        if word == "counter":
            self._counter(level, text, rest.strip())
        elif word == "evidence" and rest.strip():
            _keep(level.evidence, rest.strip())
            _keep(level.raw, text)
        else:
            self._remark(level, text)

    def _subtest(self, indent: int, name: str) -> None:
        if not self.foreign:
            self._level(indent).versioned = True
            return
        level = self._header(indent)
        if len(self.levels) > 1:
            level.versioned, level.name = True, name
        else:
            level.announces = True

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

    def _result(self, level: _Level, result: KtapTest) -> None:
        expected = len(level.tests) + 1
        numbered = result.number != resultline.NO_NUMBER
        test = replace(
            result,
            number=result.number if numbered else expected,
            counters=tuple(level.counters.items()),
            evidence=tuple(level.evidence),
            diagnostics=tuple(level.diagnostics),
            subtests=tuple(level.below.tests) if level.below else (),
        )
        if not numbered:
            self.problem(f"the result of {test.name!r} has no number")
        self._check(test, expected, level.names)
        level.names.add(test.name)
        level.tests.append(test)
        level.counts += Counts.of(test, level.below.counts if level.below else None)
        level.counts += Counts(errors=int(test.number != expected))
        level.below = None
        level.announces = False
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

    def _check_totals(self, tests: list[KtapTest]) -> None:
        """The summary of kselftest.h at the end counts results that are not in the output."""
        if not self.totals or self.bail_out is not None:
            return
        _, fails, _, _, _, errors = self.totals
        if sum(self.totals) > len(tests):
            self.problem(f"{sum(self.totals)} results in the totals, {len(tests)} reported")
        elif fails + errors > sum(not test.ok for test in tests):
            self.problem(f"{fails + errors} failures in the totals that are not reported")

    def report(self) -> KtapReport:
        self.line = 0
        while len(self.levels) > 1:
            self._close()
        top = self.levels.pop() if self.levels else _Level(indent=0)
        self._finish(top)
        self._check_totals(top.tests)
        more = [f"and {self.more_problems} more problems"] if self.more_problems else []
        return KtapReport(
            tests=tuple(top.tests),
            plan=top.plan,
            bail_out=self.bail_out,
            problems=(*self.problems, *more),
            unfinished=tuple(self.unfinished),
            skip=self.skip,
            diagnostics=tuple(top.raw),
            announced=self.announced,
            counts=top.counts,
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
    says; the version line and the plan may be absent; two results may have the same name; and there
    are no counters and no evidence. What terminals and consoles add is taken away (lines.py).
    """
    parser = _Parser(foreign=foreign)
    if foreign:
        for parser.line, line in lines.read(text):
            parser.feed_foreign(line)
    else:
        for parser.line, line in enumerate(text.removesuffix("\n").split("\n"), 1):
            if sane := _sane(line):
                parser.feed(sane)
            if parser.bail_out is not None:
                break
    cut = text and not text.endswith("\n") and parser.bail_out is None
    if cut and (parser.announced or not foreign):
        problem = "the last line has no newline: the output is truncated"
        parser.problem(problem, unfinished=True)
    return parser.report()
