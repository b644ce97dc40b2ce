# SPDX-License-Identifier: GPL-2.0-only
"""Reads what a campaign has stored. Files can be damaged: by a full disk, an editor, a crash."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from rig import arch as arches
from rig.campaigns.results import RunResult
from rig.errors import InfraError, RigError
from rig.history import unread
from rig.verdict.rules import Outcome, Verdict

T = TypeVar("T")
WRONG = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What Python and pydantic raise for a document that is cut off, or of another form."""
PENDING = unread.PENDING


def read(path: Path, validate: Callable[[Any], T]) -> T:
    """The document in a file. Raises InfraError, with the file's name and a way out."""
    try:
        return validate(json.loads(path.read_bytes()))
    except (*WRONG, RigError, OSError) as error:
        run = path.parent if path.parent.parent.name == "runs" else path.parent.parent
        raise InfraError(
            f"{path} cannot be read: it is damaged, or another version of the rig wrote it",
            hint=f"delete {run}, and run it again",
            detail=str(error)[:500],
        ) from error


def with_missing(results: Sequence[RunResult]) -> tuple[RunResult, ...]:
    """The results; those that the request names and that are not stored are INCONCLUSIVE."""
    return (*results, *_missing(results))


def _missing(results: Sequence[RunResult]) -> Iterator[RunResult]:
    stored: dict[tuple[str, str], int] = {}
    for result in results:
        key = (result.provenance.label, result.machine.arch)
        stored[key] = stored.get(key, 0) + 1
    expected: dict[tuple[str, str], RunResult] = {}
    for result in results:
        for name in result.provenance.request.arch:
            arch = next((n for n, a in arches.known().items() if name in (n, *a.aliases)), name)
            expected.setdefault((result.provenance.label, arch), result)
    for (label, arch), result in expected.items():
        for _ in range(result.provenance.request.repeat - stored.get((label, arch), 0)):
            yield RunResult(
                machine=replace(result.machine, arch=arch),
                provenance=replace(result.provenance, build="", programs=()),
                ended=result.ended,
                verdict=Verdict(
                    outcome=Outcome.INCONCLUSIVE,
                    reason="no result is stored: the run was interrupted, or the result deleted",
                ),
            )


def is_whole(directory: Path) -> bool:
    """Whether no result of the run is pending: it was not interrupted, and does not run now."""
    return not any(directory.glob(f"*/{PENDING}"))
