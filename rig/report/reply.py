# SPDX-License-Identifier: GPL-2.0-only
"""A stored run as a mail that answers the cover letter. It is written, and never sent."""

import email.errors
import email.policy
import email.utils
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path

from rig import log, printable
from rig.benches import benchmark
from rig.campaigns import compare, execute, mutation
from rig.campaigns.compare import Comparison
from rig.campaigns.options import Request, command
from rig.campaigns.pipeline import TOP
from rig.campaigns.results import RunResult
from rig.errors import ConfigError
from rig.kernel.tree import Subject
from rig.report import comparison, text
from rig.series import rfc822, target
from rig.suites import suite
from rig.verdict.rules import Outcome

POLICY = email.policy.default.clone(cte_type="8bit", max_line_length=998)


def reply(directory: Path, name: str = "") -> bytes:
    """The mail. `name`, like `Ann <ann@example.org>`, is whose it is; a PASS has its Tested-by."""
    who = _who(name)
    if mutation.load(directory):
        raise ConfigError(f"{directory.name} is of mutants: it says nothing about a series")
    compared = compare.load(directory)
    results = () if compared else _of_one_series(directory)
    top = top_of(directory)
    if not top:
        raise ConfigError(
            f"{directory.name} was no run of a series from a mail", hint="rig run MESSAGE-ID"
        )
    if results and results[0].provenance.request.mutant:
        raise ConfigError(f"{directory.name} is of a broken kernel: it says nothing about a series")
    message = EmailMessage(policy=POLICY)
    if who:
        message["From"] = str(who)
    _address(message, top, who)
    subject = printable.line(rfc822.header(top, "Subject"))
    message["Subject"] = subject if re.match(r"re:", subject, re.I) else f"Re: {subject}"
    body = _measured(compared, top) if compared else _body(results, top, who)
    message.set_content(body, charset="utf-8", cte="8bit")
    return message.as_bytes()


def _of_one_series(directory: Path) -> tuple[RunResult, ...]:
    results = tests(directory)
    if not results:
        raise ConfigError(
            f"{directory.name} has no test of a series to answer with", hint="rig run SERIES@v2"
        )
    results = whole(results) or results
    if len(several := trees(results)) > 1:
        raise ConfigError(
            f"{directory.name} is of {' and '.join(several)}: a mail answers one of them",
            hint="rig run SERIES@v2, then rig reply",
        )
    return results


def tests(directory: Path) -> tuple[RunResult, ...]:
    """The results of `rig run`. Mutants say nothing of a series, and a bench tests nothing."""
    if (directory / compare.FILE).is_file() or (directory / mutation.FILE).is_file():
        return ()
    try:
        results = execute.load_all(directory)
    except ConfigError as error:  # one run that is damaged does not hide the others
        log.note(error.message)
        return ()
    return tuple(one for one in results if {ran.suite for ran in one.suites} != {benchmark.SUITE})


def whole(results: Sequence[RunResult]) -> tuple[RunResult, ...]:
    """Those of a whole series. Where they are, those of its first patches that did not do well are
    with them: a series that does not bisect has not passed."""
    own = [result for result in results if not is_part(result)]
    parts = [result for result in results if is_part(result)]
    fine = (Outcome.SKIP, Outcome.PASS)
    broken = [result for result in parts if result.verdict.outcome not in fine]
    return (*own, *broken) if own else ()


def is_part(result: RunResult) -> bool:
    """Whether it is of a series' first patches only."""
    return result.provenance.subject.upto is not None


def trees(results: Sequence[RunResult]) -> tuple[str, ...]:
    """What was run, each once, a series and its first patches alike."""
    return tuple(dict.fromkeys(subject.whole.label for subject in text.subjects(results)))


def top_of(directory: Path) -> bytes:
    """The mail a run's series begins with; nothing if it was of no series."""
    return next((path.read_bytes() for path in sorted(directory.glob(f"*/{TOP}"))), b"")


def _who(name: str) -> Address | None:
    if not name:
        return None
    found = _addresses(name)
    # `Doe, John <…>` without quotes is two of them, of which one cannot be answered.
    if len(email.utils.getaddresses([name])) != 1 or not found or not found[0].display_name:
        raise ConfigError(
            f"--name {name!r} is no name",
            hint="like 'Ann Example <ann@example.org>', or '\"Example, Ann\" <ann@example.org>'",
        )
    return found[0]


def _addresses(*headers: str) -> list[Address]:
    """Those that can be answered: what is damaged is left out."""
    found = []
    for shown, spec in email.utils.getaddresses([header for header in headers if header]):
        try:
            found.append(Address(display_name=printable.line(shown), addr_spec=spec))
        except (ValueError, IndexError, email.errors.MessageError):
            continue
    return [one for one in found if one.username and one.domain and _plain(one.addr_spec)]


def _plain(said: str) -> bool:
    """Whether it can be repeated in a header as it is."""
    return printable.line(said) == said


def _identifiers(said: str) -> list[str]:
    return [one for one in re.findall(r"<[^<>\s]+>", said) if _plain(one)]


def _address(message: EmailMessage, top: bytes, who: Address | None) -> None:
    """To its author, Cc to all it went to, below it in the thread."""
    to = _addresses(rfc822.header(top, "Reply-To")) or _addresses(rfc822.header(top, "From"))
    known = {one.addr_spec.lower() for one in (*to, *([who] if who else []))}
    copies = []
    for one in _addresses(rfc822.header(top, "To"), rfc822.header(top, "Cc")):
        if one.addr_spec.lower() not in known:
            known.add(one.addr_spec.lower())
            copies.append(one)
    if to:
        message["To"] = tuple(to)
    if copies:
        message["Cc"] = tuple(copies)
    else:
        log.note("the mail does not say to whom it went: see to its Cc")
    own = _identifiers(rfc822.header(top, "Message-ID"))
    if not own:
        raise ConfigError("the series' mail has no Message-ID: there is nothing to answer")
    before = _identifiers(rfc822.header(top, "References"))
    before = before or _identifiers(rfc822.header(top, "In-Reply-To"))[:1]
    message["In-Reply-To"] = own[0]
    # Unfolded it would be one long line; a folded header is that of RFC 5322.
    message["References"] = " ".join(dict.fromkeys([*before, own[0]]))


def _answered(top: bytes) -> dict[str, str]:
    """What the templates quote of the mail that is answered."""
    return {name: rfc822.header(top, name) for name in ("Date", "From", "Subject")}


def _body(results: Sequence[RunResult], top: bytes, who: Address | None) -> str:
    subject = results[0].provenance.subject
    passed = all(result.verdict.outcome is Outcome.PASS for result in results)
    if who and not passed:
        log.note("no Tested-by: that is for a PASS")
    return text.environment().get_template("reply.txt.j2").render(
        results=results,
        many=text.many(results),
        labels=text.labels(results),
        overall=text.overall(results),
        what=_what(subject),
        base=subject.base,
        top=_answered(top),
        again=again(results, top),
        tag=str(who) if who and passed and subject.upto is None else "",
    ).rstrip() + "\n"  # fmt: skip


def _measured(compared: Sequence[Comparison], top: bytes) -> str:
    """What `rig bench` found. That is no test, and has no tag."""
    first = compared[0]
    return text.environment().get_template("measured.txt.j2").render(
        table=text.Block(comparison.render(compared).rstrip()),
        what=_what(first.subject),
        before=first.before,
        origin=first.origin,
        top=_answered(top),
        again=shlex.join(compare.again(compared)),
    ).rstrip() + "\n"  # fmt: skip


def again(results: Sequence[RunResult], top: bytes) -> str:
    """The command that anybody gets this result by."""
    first = results[0].provenance
    part = first.subject.upto is not None
    mail = "" if part else target.typed(rfc822.header(top, "Message-ID").strip("<> "))
    arches = tuple(dict.fromkeys(result.machine.arch for result in results))
    same = sum(result.provenance.subject == first.subject for result in results)
    asked = replace(
        first.request, target=mail or first.request.target, arch=arches, repeat=same // len(arches)
    )
    if part:
        asked = replace(asked, each_patch=False, after=())
    return shlex.join(command(_selected(asked, results)))


def _what(subject: Subject) -> str:
    part = f"the first {subject.upto} patches of this series"
    return "this series" if subject.upto is None else part


def _selected(asked: Request, results: Sequence[RunResult]) -> Request:
    """pytest may have run less than was asked for: then these cases, and no others."""
    ran = {
        f"{ran.suite}/{case.name}" for result in results for ran in result.suites
        for case in ran.cases
    }  # fmt: skip
    chosen = {
        f"{selection.suite}/{case.name}"
        for selection in suite.select(asked.suites, asked.cases)
        for case in suite.cases_of(selection)
    }
    return asked if ran in (set(), chosen) else replace(asked, suites=(), cases=tuple(sorted(ran)))
