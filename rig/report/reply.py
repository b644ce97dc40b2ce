# SPDX-License-Identifier: GPL-2.0-only
"""`rig reply`: writes the mail that answers a cover letter with a stored run, or a patch with the
bisection that has found it. Sends nothing."""

import email.errors
import email.policy
import email.utils
import functools
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path

from rig import log, printable
from rig.benches import benchmark
from rig.campaigns import bisection, compare, execute, mutation, partial
from rig.campaigns.bisection import Bisection
from rig.campaigns.compare import Comparison
from rig.campaigns.options import Request, command
from rig.campaigns.pipeline import TOP
from rig.campaigns.results import RunResult
from rig.errors import ConfigError, InfraError
from rig.kernel.tree import Subject
from rig.report import bisect, comparison, text
from rig.series import rfc822, target
from rig.suites import suite as suites
from rig.verdict.rules import Outcome

POLICY = email.policy.default.clone(cte_type="8bit", max_line_length=998)


def reply(directory: Path, name: str = "") -> bytes:
    """The mail. `name` is the author, like `Ann <ann@example.org>`; a PASS has its Tested-by."""
    who = _who(name)
    if mutation.load(directory):
        raise ConfigError(
            f"{directory.name} is a `rig mutate`: it says nothing about a series",
            hint="rig run SERIES@v2, then rig reply",
        )
    if found := bisection.load(directory):
        return _to_culprit(found, directory.name, who)
    comparisons = compare.load(directory)
    results = () if comparisons else _of_one_series(directory)
    top = top_of(directory)
    if not top:
        raise ConfigError(
            f"{directory.name} is not a run of a series from a mail", hint="rig run MESSAGE-ID"
        )
    if results and results[0].provenance.request.mutant:
        raise ConfigError(
            f"{directory.name} had mutant {results[0].provenance.request.mutant} on: it says"
            " nothing about a series",
            hint="rig run SERIES@v2, then rig reply",
        )
    body = _measured(comparisons, top) if comparisons else _body(results, top, who)
    return _mail(top, body, who)


def _to_culprit(found: Bisection, name: str, who: Address | None) -> bytes:
    """The answer to the mail with the patch that a bisection has found."""
    culprit = found.culprit
    if culprit is None or found.outcome is not Outcome.PASS:
        raise ConfigError(f"{name} has no culprit: nobody is to be told", hint=f"rig report {name}")
    if not culprit.mail:
        raise ConfigError(
            f"{culprit.name} ({culprit.subject}) does not say which mail it was: it has no Link:"
            " with a message-id",
            hint=f"rig report {name} prints what is to be said",
        )
    top = culprit.mail.encode()
    if culprit.commit != culprit.name:  # of a tree
        log.note(
            f"the mail answers {rfc822.header(top, 'Message-ID')}, from the commit's trailers:"
            " look whether it is the patch"
        )
    body = text.environment().get_template("culprit.txt.j2").render(
        top=_answered(top),
        chance=bisect.percent(culprit.chance),
        evidence=text.Block(bisect.mail(found).rstrip()),
    )  # fmt: skip
    return _mail(top, body.rstrip() + "\n", who)


def _mail(top: bytes, body: str, who: Address | None) -> bytes:
    """The mail that answers `top`."""
    message = EmailMessage(policy=POLICY)
    if who:
        message["From"] = str(who)
    _address(message, top, who)
    subject = printable.line(rfc822.header(top, "Subject"))
    message["Subject"] = subject if re.match(r"re:", subject, re.I) else f"Re: {subject}"
    message.set_content(body, charset="utf-8", cte="8bit")
    return message.as_bytes()


def _of_one_series(directory: Path) -> tuple[RunResult, ...]:
    results = tests(directory)
    if not results:
        raise ConfigError(
            f"{directory.name} has no test of a series", hint="rig run SERIES@v2, then rig reply"
        )
    results = whole(results) or results
    if len(labels := trees(results)) > 1:
        raise ConfigError(
            f"{directory.name} tested {' and '.join(labels)}, and a mail can answer only one",
            hint="rig run SERIES@v2, then rig reply",
        )
    return results


def tests(directory: Path) -> tuple[RunResult, ...]:
    """The results of a `rig run`; none for `rig mutate`, `rig bench` and `rig bisect`: they test no
    series."""
    if any((directory / each.FILE).is_file() for each in (compare, mutation, bisection)):
        return ()
    results = execute.load_all(directory)
    ran = {suite.suite for result in results for suite in result.suites}
    return () if ran == {benchmark.SUITE} else results


def readable_tests(directory: Path) -> tuple[RunResult, ...]:
    """The same; a damaged run is noted, and must not hide the others."""
    try:
        return tests(directory)
    except InfraError as error:
        log.note(error.message)
        return ()


def whole(results: Sequence[RunResult]) -> tuple[RunResult, ...]:
    """The results of the whole series, and those of its first patches that did not pass.

    A series that breaks bisection has not passed. Empty if the whole series was not run.
    """
    complete = [result for result in results if not is_part(result)]
    parts = [result for result in results if is_part(result)]
    fine = (Outcome.SKIP, Outcome.PASS)
    broken = [result for result in parts if result.verdict.outcome not in fine]
    return (*complete, *broken) if complete else ()


def is_part(result: RunResult) -> bool:
    """Whether only the first patches of the series were applied."""
    return result.provenance.subject.upto is not None


def trees(results: Sequence[RunResult]) -> tuple[str, ...]:
    """The labels of the trees, without duplicates; the first patches of a series count as it."""
    return tuple(dict.fromkeys(subject.whole.label for subject in text.subjects(results)))


def top_of(directory: Path) -> bytes:
    """The cover letter (or first patch) of the run's series; empty if the run had no series."""
    return next((path.read_bytes() for path in sorted(directory.glob(f"*/{TOP}"))), b"")


def _who(name: str) -> Address | None:
    if not name:
        return None
    addresses = _addresses(name)
    # `Doe, John <…>` without quotes is two addresses, and `Doe` has no domain.
    if len(email.utils.getaddresses([name])) != 1 or not addresses or not addresses[0].display_name:
        raise ConfigError(
            f"--name {name!r} is not a name with an address",
            hint="like 'Ann Example <ann@example.org>', or '\"Example, Ann\" <ann@example.org>'",
        )
    return addresses[0]


def _addresses(*headers: str) -> list[Address]:
    """The addresses in these headers; damaged ones are left out."""
    addresses = []
    for shown, spec in email.utils.getaddresses([header for header in headers if header]):
        try:
            addresses.append(Address(display_name=printable.line(shown), addr_spec=spec))
        except (ValueError, IndexError, email.errors.MessageError):
            continue
    return [
        address
        for address in addresses
        if address.username and address.domain and _plain(address.addr_spec)
    ]


def _plain(text: str) -> bool:
    """Whether it has no control characters, so that it can go into a header."""
    return printable.line(text) == text


def _identifiers(header: str) -> list[str]:
    return [
        identifier
        for identifier in re.findall(r"<[^<>\s@]+@[^<>\s]+>", header)
        if _plain(identifier)
    ]


def _address(message: EmailMessage, top: bytes, who: Address | None) -> None:
    """Fill in To (the author), Cc (the other recipients), In-Reply-To and References."""
    to = _addresses(rfc822.header(top, "Reply-To")) or _addresses(rfc822.header(top, "From"))
    taken = {address.addr_spec.lower() for address in (*to, *([who] if who else []))}
    copies = []
    for address in _addresses(rfc822.header(top, "To"), rfc822.header(top, "Cc")):
        if address.addr_spec.lower() not in taken:
            taken.add(address.addr_spec.lower())
            copies.append(address)
    if to:
        message["To"] = tuple(to)
    if copies:
        message["Cc"] = tuple(copies)
    else:
        log.note("the series' mail has no other recipients: check the Cc of the answer")
    own = _identifiers(rfc822.header(top, "Message-ID"))
    if not own:
        raise ConfigError("the series' mail has no Message-ID, so it cannot be answered")
    before = _identifiers(rfc822.header(top, "References"))
    before = before or _identifiers(rfc822.header(top, "In-Reply-To"))[:1]
    message["In-Reply-To"] = own[0]
    # EmailMessage folds this header as RFC 5322 wants it.
    message["References"] = " ".join(dict.fromkeys([*before, own[0]]))


def _answered(top: bytes) -> dict[str, str]:
    """The headers of the answered mail that the templates quote."""
    return {name: rfc822.header(top, name) for name in ("Date", "From", "Subject")}


def _body(results: Sequence[RunResult], top: bytes, who: Address | None) -> str:
    subject = results[0].provenance.subject
    passed = all(result.verdict.outcome is Outcome.PASS for result in results)
    if who and not passed:
        log.note("no Tested-by: the outcome is not PASS")
    elif who and (only := partial.tested(results)):
        log.note(f"the Tested-by says what was run:{only}")
    return text.environment().get_template("reply.txt.j2").render(
        results=results,
        many=text.many(results),
        labels=text.labels(results),
        overall=text.overall(results),
        what=_what(subject),
        base=subject.base,
        top=_answered(top),
        again=again(results, top),
        tag=f"{who}{partial.tested(results)}" if who and passed and subject.upto is None else "",
    ).rstrip() + "\n"  # fmt: skip


def _measured(comparisons: Sequence[Comparison], top: bytes) -> str:
    """The body for a `rig bench`. It is not a test, so there is no Tested-by."""
    first = comparisons[0]
    return text.environment().get_template("measured.txt.j2").render(
        table=text.Block(comparison.render(comparisons).rstrip()),
        what=_what(first.subject),
        before=first.before,
        origin=first.origin,
        top=_answered(top),
        again=shlex.join(compare.again(comparisons)),
    ).rstrip() + "\n"  # fmt: skip


def again(results: Sequence[RunResult], top: bytes) -> str:
    """The command that runs the same again, for anybody who has the mail."""
    first = results[0].provenance
    part = first.subject.upto is not None
    identifier = "" if part or not top else rfc822.header(top, "Message-ID")
    mail = target.typed(identifier.strip("<> "))
    arches = tuple(dict.fromkeys(result.machine.arch for result in results))
    runs = sum(result.provenance.subject == first.subject for result in results)
    request = replace(
        first.request, target=mail or first.request.target, arch=arches, repeat=runs // len(arches)
    )
    if part:
        request = replace(request, each_patch=False, after=())
    return shlex.join(command(_selected(request, results)))


def _what(subject: Subject) -> str:
    part = f"the first {subject.upto} patches of this series"
    return "this series" if subject.upto is None else part


def _selected(request: Request, results: Sequence[RunResult]) -> Request:
    """The request; with --case if fewer cases were run than it selects, as pytest's -k does."""
    ran = {
        f"{suite.suite}/{case.name}"
        for result in results
        for suite in result.suites
        for case in suite.cases
    }
    selected = _chosen(request.suites, request.cases)
    if ran in (set(), selected):
        return request
    return replace(request, suites=(), cases=tuple(sorted(ran)))


@functools.lru_cache(64)
def _chosen(suite_names: tuple[str, ...], cases: tuple[str, ...]) -> frozenset[str]:
    """SUITE/CASE of what --suite and --case select."""
    return frozenset(
        f"{selection.suite}/{case.name}"
        for selection in suites.select(suite_names, cases)
        for case in suites.cases_of(selection)
    )
