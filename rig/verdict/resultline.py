# SPDX-License-Identifier: GPL-2.0-only
"""A result line of KTAP, and the numbers of results."""

import re
from dataclasses import dataclass
from enum import StrEnum

RESULT = re.compile(
    r"(?P<ok>ok|not ok)(?=\s|$)(?:\s+(?P<number>[0-9]{1,9})(?=\s|$))?(?:\s+-(?=\s|$))?"
    r"\s*(?P<name>[^#]*)(?:#\s*(?P<rest>.*))?$"
)
# SKIP is as in TAP: in any case, and SKIPPED as well. The others count as ktap.rst spells them:
# `not ok # todo` is a failure. A description may have a "#" of its own before the directive.
DIRECTIVE = re.compile(
    r"(?:^|#\s*)(?P<word>(?i:SKIP)\w*|TODO|XFAIL|TIMEOUT|ERROR)\b[:\s]*(?P<reason>.*)$"
)
NO_NUMBER = -1


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
    printed: bool = True
    """False for a test of which only subtests were printed, and no result line."""

    @property
    def failed(self) -> bool:
        """Not ok, and no directive says that this is expected."""
        expected = (Directive.SKIP, Directive.TODO, Directive.XFAIL)
        return not self.ok and self.printed and self.directive not in expected


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Tests without subtests, and errors of the format, as kunit_parser.py counts them."""

    passed: int = 0
    failed: int = 0
    crashed: int = 0
    """Planned, but not printed."""
    skipped: int = 0
    errors: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            passed=self.passed + other.passed,
            failed=self.failed + other.failed,
            crashed=self.crashed + other.crashed,
            skipped=self.skipped + other.skipped,
            errors=self.errors + other.errors,
        )

    @classmethod
    def of(cls, test: KtapTest, below: "Counts | None") -> "Counts":
        """Of a test whose subtests have `below`; None where there is no header of subtests."""
        skipped = test.directive is Directive.SKIP
        passed, failed = test.ok and not skipped, not (test.ok or skipped)
        own = cls(passed=int(passed), failed=int(failed), skipped=int(skipped))
        if below is None:
            return own
        if not below.passed + below.failed + below.crashed + below.skipped:
            return below if own.passed and not test.subtests else below + own
        alone = own.failed and below.passed and not (below.failed or below.crashed)
        return below + own if alone else below


NONE = Counts()


def parse(line: str) -> KtapTest | None:
    """The result of a line, with the number NO_NUMBER if it has none; None for another line."""
    if not (match := RESULT.match(line)):
        return None
    rest = (match["rest"] or "").strip()
    directive = DIRECTIVE.search(rest)
    return KtapTest(
        number=int(match["number"] or NO_NUMBER),
        name=match["name"].strip(),
        ok=match["ok"] == "ok",
        directive=_directive(directive["word"]) if directive else None,
        reason=directive["reason"].strip() if directive else rest,
    )


def _directive(word: str) -> Directive:
    return Directive.SKIP if word.upper().startswith("SKIP") else Directive(word)
