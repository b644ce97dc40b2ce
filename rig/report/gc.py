# SPDX-License-Identifier: GPL-2.0-only
"""The output of `rig gc`, and the sizes that `rig doctor` prints."""

from collections import Counter
from collections.abc import Iterable, Iterator

from rig import printable
from rig.campaigns.census import LANES, LINUX, Holding
from rig.campaigns.gc import Plan, Row

MEANS = {
    "bases": "origins of kernel sources; never removed",
    "builds": "kernels",
    "explored": "seeds of rig explore",
    "images": "root file systems of guests",
    LANES: "work trees and objects of kernel builds",
    LINUX: "kernel sources; never removed",
    "programs": "programs of the suites",
    "runs": "results",
}
FEW = 20
"""Rows that are listed one by one without -v."""


def size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def holdings(held: Iterable[Holding]) -> Iterator[str]:
    """A line for each part of the store; the parts of less than 1 MiB in one line."""
    held = tuple(held)
    small = [entry for entry in held if entry.bytes < 2**20]
    for entry in held:
        if entry.bytes >= 2**20:
            count = "" if entry.count is None else f"{entry.count:,}"
            text = (
                f"  {entry.kind:12} {size(entry.bytes):>10} {count:>6}  {MEANS.get(entry.kind, '')}"
            )
            yield text.rstrip()
    if small:
        total, names = sum(entry.bytes for entry in small), ", ".join(e.kind for e in small)
        yield f"  {'others':12} {size(total):>10}         {names}"


def render(plan: Plan, *, verbose: bool = False) -> str:
    total = sum(holding.bytes for holding in plan.held)
    lines = [f"store: {plan.root}, {size(total)}"]
    verb = "removed" if plan.done else "would remove"
    lines += _going(plan, verb, verbose=verbose)
    lines += _kept(plan.kept, verbose=verbose)
    lines += _alternates(plan)
    if plan.limit and plan.left > plan.limit:
        lines.append(
            f"{size(plan.left)} are left, more than --max-size {plan.limit / 2**30:g}: results of"
            f" the last {plan.days:g} days stay; a smaller --keep-days removes more"
        )
    if not plan.done and (plan.going or (plan.alternates and not plan.alternates_needed)):
        lines.append("`rig gc --remove` with the same options removes it")
    return printable.page(lines)


def _going(plan: Plan, verb: str, *, verbose: bool) -> Iterator[str]:
    if not plan.going:
        yield f"nothing {'was removed' if plan.done else 'to remove'}"
        return
    yield f"{verb} {_counted(plan.going)}: {size(plan.freed)}"
    shown = plan.going if verbose else sorted(plan.going, key=lambda row: -row.bytes)[:FEW]
    for row in shown:
        yield f"  {size(row.bytes):>10}  {row.unit.label}  {row.why}"
    if len(shown) < len(plan.going):
        yield f"  … and {len(plan.going) - len(shown):,} more; -v lists all"


def _kept(kept: tuple[Row, ...], *, verbose: bool) -> Iterator[str]:
    if verbose:
        yield from (f"  kept  {row.unit.label}  {row.why}" for row in kept)
    reasons = Counter(_short(row.why) for row in kept)
    for why, count in reasons.most_common():
        yield f"kept {count:,}: {why}"


def _short(why: str) -> str:
    return why.partition(" result of ")[0] + " results" if " result of " in why else why


def _counted(rows: Iterable[Row]) -> str:
    kinds = Counter(row.unit.kind for row in rows)
    return ", ".join(f"{count:,} of {kind}" for kind, count in kinds.most_common())


def _alternates(plan: Plan) -> Iterator[str]:
    """What became of the directories that linux.git borrowed objects from."""
    if not plan.alternates:
        return
    if plan.alternates_needed:
        yield "linux.git lacks objects, and these directories it borrowed from are gone; they stay:"
    elif plan.done:
        yield "linux.git no longer borrows from these directories, which are gone:"
    else:
        yield "linux.git would no longer borrow from these directories, which are gone:"
    yield from (f"  {line}" for line in plan.alternates)
