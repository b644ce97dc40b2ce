# SPDX-License-Identifier: GPL-2.0-only
"""The conditions under which a result holds, and what may be pooled (outcome rule 6)."""

from collections.abc import Iterable
from dataclasses import dataclass

from rig.errors import ConfigError
from rig.verdict.rules import SuiteResult


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """The conditions under which a result holds (rule 6)."""

    arch: str
    accel: str
    schedule: str

    def __str__(self) -> str:
        return f"{self.arch} {self.accel} {self.schedule}"


def pool(results: Iterable[tuple[Identity, SuiteResult]]) -> SuiteResult:
    """Pool runs of one suite. Rule 6: raises ConfigError unless all have the same identity."""
    results = tuple(results)
    identities = sorted({str(identity) for identity, _ in results})
    names = sorted({suite.suite for _, suite in results})
    if len(identities) != 1 or len(names) != 1:
        raise ConfigError(
            f"cannot pool results of {' and '.join(names)} for {' and '.join(identities)}",
            hint="pool runs of one suite, with the same architecture, accelerator and schedule",
        )
    return SuiteResult(
        suite=names[0], cases=tuple(case for _, suite in results for case in suite.cases)
    )
