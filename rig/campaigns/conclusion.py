# SPDX-License-Identifier: GPL-2.0-only
"""What a bisection says: before the search what it will cost, afterwards who did it."""

import math
from dataclasses import replace

from rig import log
from rig.campaigns import commits, forecast, rates
from rig.campaigns.ancestry import GOOD
from rig.campaigns.bisection import Bisection, Culprit, Evidence, Suspect, Tested
from rig.campaigns.commits import Mark
from rig.campaigns.culprit import Costs
from rig.campaigns.inquiry import Kind
from rig.campaigns.options import Request, command
from rig.campaigns.rates import Runs
from rig.campaigns.standing import Row, Standing
from rig.guest.qemu import Seeded
from rig.store import Store, file_digest

SUSPECTS = 5
"""So many of the most likely commits are kept, and more only if they are the answer."""
ANSWER = 20
"""At most so many commits are the answer."""


def expectation(known: Standing) -> str:
    """The rate of the bad end, and what the search will cost, in a sentence each."""
    search, size = known.search, len(known.suspects.range)
    if known.question.decisive:
        builds = math.ceil(math.log2(size + 1))
        seconds = builds * known.cost.typical(builds)
        return f"expected: about {builds} builds in {log.duration(seconds)}; one run decides"
    end = known.rows[search.end]
    runs = Runs(failed=end.failed, passed=end.passed)
    rate, low, high = _rate(runs)
    typical = known.cost.typical(math.ceil(math.log2(size + 1)))
    costs = Costs(guest=search.costs.guest, build=lambda commit, previous: typical)
    spent = forecast.expected(size, costs, runs)
    return (
        f"the bad end fails in {end.failed} of {end.told} runs: {rate:.0%}"
        f" (95 %: {low:.0%} to {high:.0%}); expected for {size} commits: about"
        f" {spent.builds:.0f} builds and {spent.guests:.0f} guests, {log.duration(spent.seconds)}"
    )


def _rate(runs: Runs) -> tuple[float, float, float]:
    by_bad, _ = rates.posterior(runs, Runs())
    return (rates.mean(by_bad, rates.BAD), *rates.interval(runs))


def conclude(known: Standing, confidence: float, reason: str, hint: str) -> Bisection:
    """How it stands. `reason`: why the search ended without a culprit."""
    suspects, search, whole = known.suspects, known.search, known.suspects.whole
    chances, found = search.chances(), search.culprit() if search.known() else None
    answer = found.commits if found else ()
    if not reason:
        reason, hint = _why_not(known, answer)
    # The runs of commits that have the fault. Nothing is known of a rate before the search.
    bad = [row for at, row in known.rows.items() if at >= 0 and chances[at] >= confidence]
    ends = bad if search.known() else [known.rows.get(search.end, Row())]
    runs = Runs(failed=sum(row.failed for row in ends), passed=sum(row.passed for row in ends))
    rate, low, high = _rate(runs)
    is_one = len(answer) == 1 and answer != (GOOD,)
    names = (suspects.name(GOOD), suspects.name(search.end))
    return Bisection(
        request=whole.request,
        good=names[0],
        bad=names[1],
        paths=suspects.range.paths,
        first_parent=suspects.range.first_parent,
        commits=len(suspects.range),
        arch=whole.machine.arch,
        schedule=whole.machine.schedule.kind,
        question=known.question,
        confidence=confidence,
        signature=f"{known.wanted or ''}",
        headline=known.headline,
        runs=runs.total,
        failures=runs.failed,
        rate=rate,
        low=low,
        high=high,
        tested=tuple(_tested(known, at, row, chances) for at, row in known.rows.items()),
        others=tuple(f"{text} ({times}x)" for text, times in known.others.items()),
        suspects=_suspects(known, answer),
        culprit=_culprit(known, answer[0]) if is_one else None,
        reason="" if is_one else reason,
        hint="" if is_one else hint,
        builds=sum(bool(row.build_seconds) for row in known.rows.values()),
        guests=_guests(known),
    )


def _guests(known: Standing) -> int:
    if known.question.kind is Kind.BUILD:
        return 0
    return sum(row.told + row.mute for row in known.rows.values() if row.build)


def _why_not(known: Standing, answer: tuple[int, ...]) -> tuple[str, str]:
    if answer == (GOOD,):
        return good_fails(known)
    if len(answer) > 1:
        return (
            f"{len(answer)} commits cannot be told apart, because others cannot be tested",
            "the culprit is one of them; --flavour or another case may make the others testable",
        )
    return "the search has not come to its end", "the same command goes on"


def good_fails(known: Standing) -> tuple[str, str]:
    row = known.rows.get(GOOD, Row())
    runs = f": in {row.failed} of {row.told} runs" if row.told else ""
    return f"the good end fails as well{runs}", "name an older good commit"


def _tested(known: Standing, at: int, row: Row, chances: list[float]) -> Tested:
    return Tested(
        name=known.suspects.name(at),
        subject=known.suspects.subject(at),
        failed=row.failed,
        passed=row.passed,
        seconds=round(row.seconds, 1),
        build_seconds=round(row.build_seconds, 1),
        bad=_before(known) if at == GOOD else chances[at],
        skipped=row.skipped,
    )


def _before(known: Standing) -> float:
    return known.search.posterior()[GOOD]


def _suspects(known: Standing, answer: tuple[int, ...]) -> tuple[Suspect, ...]:
    posterior = known.search.posterior()
    likely = sorted(posterior, key=lambda at: (-posterior[at], at))[:SUSPECTS]
    return tuple(
        Suspect(
            name=known.suspects.name(at), subject=known.suspects.subject(at), chance=posterior[at]
        )
        for at in dict.fromkeys((*answer[:ANSWER], *likely))
    )


def _culprit(known: Standing, at: int) -> Culprit:
    suspects, parents = known.suspects, known.suspects.parents(at)
    kernels = {_kernel(known.store, known.rows[one]) for one in parents if one in known.rows}
    kernel = _kernel(known.store, known.rows[at]) if at in known.rows else ""
    passing = (_runs(known, parent, failed=False) for parent in parents)
    return Culprit(
        name=suspects.name(at),
        commit=suspects.range.name(at),
        subject=suspects.subject(at),
        author=suspects.author(at),
        link=suspects.link(at),
        diffstat=suspects.diffstat(at),
        chance=known.search.posterior()[at],
        failing=_runs(known, at, failed=True),
        passing=tuple(evidence for evidence in passing if evidence),
        same_kernel=bool(kernel) and kernel in kernels,
        mail=suspects.mail(at).decode(errors="replace"),
    )


def _kernel(store: Store, row: Row) -> str:
    """A digest of the kernel image; empty if the store does not have it."""
    if not row.build or not store.find("builds", row.build):
        return ""
    return file_digest(
        store.path("builds", row.build) / store.manifest("builds", row.build)["image"]
    )


# --- commands ----------------------------------------------------------------------------------


def _runs(known: Standing, at: int, *, failed: bool) -> Evidence | None:
    """The runs of a commit that failed, of which the first is enough; or all that passed."""
    row = known.rows.get(at, Row())
    count, of_runs = (row.failed, row.failing) if failed else (row.passed, row.passing)
    if not count:
        return None
    seeds = tuple(of_runs) if _has_seeds(known) else ()
    return Evidence(
        name=known.suspects.name(at), runs=count, seeds=seeds,
        again=tuple(_again(known, at, seeds[:1] if failed else seeds, row.told)),
    )  # fmt: skip


def _has_seeds(known: Standing) -> bool:
    decisive = known.question.decisive
    return not decisive and isinstance(known.suspects.whole.machine.schedule, Seeded)


def _again(known: Standing, at: int, seeds: tuple[int, ...], runs: int) -> list[str]:
    """The command that runs a commit again, with these seeds or so often."""
    request = known.suspects.spec(known.store, at).request
    kind = known.question.kind
    if kind is Kind.BUILD:
        return command(request, "build")
    if kind is Kind.BOOT:
        return [*command(request, "shell"), "--", "true"]
    if kind is Kind.METRIC:
        words = command(replace(request, schedule="seeded"), "bench")
        good = known.suspects.name(GOOD)
        return [*words, "--bench", known.question.bench.name, "--rounds", "1", "--against", good]
    request = _of_signature(known, request)
    if len(seeds) > 1 and len(request.cases) == 1:
        words = command(request, "explore")
        return [*words, "--seeds", ",".join(map(str, seeds))]
    if seeds:
        return command(replace(request, schedule="seeded", seed=seeds[0]))
    return command(replace(request, repeat=min(runs, 1000)))


def _of_signature(known: Standing, request: Request) -> Request:
    """The request with the one case that fails, if the schedule is seeded."""
    wanted = known.wanted
    if wanted is None or not wanted.is_case or not _has_seeds(known):
        return request
    return replace(request, suites=(), cases=(wanted.name,))


# --- git's log ---------------------------------------------------------------------------------


def git_log(known: Standing, confidence: float) -> str:
    """The log for `git bisect replay`."""
    chances, marks, notes = known.search.chances(), dict[int, Mark](), dict[int, str]()
    for at, row in known.rows.items():
        notes[at] = row.skipped or f"{row.failed} of {row.told} runs failed"
        if at == GOOD:
            continue
        if row.skipped and not row.told:
            marks[at] = Mark.SKIP
        elif not confidence > chances[at] > 1 - confidence:
            marks[at] = Mark.BAD if chances[at] >= confidence else Mark.GOOD
    text = commits.log(known.suspects.range, marks, notes)
    found = known.search.culprit() if known.search.known() else None
    if found and len(found.commits) == 1 and found.commits != (GOOD,):
        text += commits.last_line(known.suspects.range, found.commits[0])
    return text
