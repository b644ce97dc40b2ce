# SPDX-License-Identifier: GPL-2.0-only
"""A stored run as a mail that answers the cover letter. It is written, and never sent."""

import email.errors
import email.policy
import email.utils
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path

from rig import log, printable
from rig.benches import benchmark
from rig.campaigns import compare, execute, mutation
from rig.campaigns.compare import Comparison
from rig.campaigns.pipeline import TOP
from rig.campaigns.request import Request
from rig.campaigns.results import RunResult
from rig.errors import ConfigError
from rig.report import comparison, text
from rig.series import rfc822, target
from rig.suites import suite
from rig.verdict.rules import Outcome

PART = re.compile(r":(\d+) on ")
"""In the label of a run of a series' first patches."""
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
    if results and results[0].provenance.mutant:
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
    own = [one for one in results if not PART.search(one.provenance.label)]
    parts = [one for one in results if PART.search(one.provenance.label)]
    broken = [one for one in parts if one.verdict.outcome not in (Outcome.SKIP, Outcome.PASS)]
    return (*own, *broken) if own else ()


def trees(results: Sequence[RunResult]) -> tuple[str, ...]:
    """What was run, each once, a series and its first patches alike."""
    return tuple(dict.fromkeys(PART.sub(" on ", label) for label in text.labels(results)))


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
    label = results[0].provenance.label
    base, part = label.rpartition(" on ")[2], PART.search(label)
    passed = all(result.verdict.outcome is Outcome.PASS for result in results)
    if who and not passed:
        log.note("no Tested-by: that is for a PASS")
    return text.environment().get_template("reply.txt.j2").render(
        results=results,
        many=text.many(results),
        labels=text.labels(results),
        overall=text.overall(results),
        what=_what(label),
        base=base,
        top=_answered(top),
        again=again(results, top),
        tag=str(who) if who and passed and not part else "",
    ).rstrip() + "\n"  # fmt: skip


def _measured(compared: Sequence[Comparison], top: bytes) -> str:
    """What `rig bench` found. That is no test, and has no tag."""
    first, usual = compared[0], Request(target="")
    _, on, base = first.after.rpartition(" on ")
    words = ["rig", "bench", _target(first.after)] + (["--base", base] if on else [])
    if first.before != base:
        words += ["--against", _target(first.before)]
    words += _tree(first.origin)
    machine = first.machine
    rounds = {one.rounds + len(one.discarded) for one in compared}
    options = {
        "--arch": (",".join(dict.fromkeys(one.machine.arch for one in compared)), "x86_64"),
        "--schedule": (machine.schedule.kind, usual.schedule),
        "--cpus": (machine.cpus, usual.cpus),
        "--rounds": (rounds.pop() if len(rounds) == 1 else "auto", "auto"),
    }
    words += _unusual(options)
    words += ["--bench", ",".join(dict.fromkeys(one.bench for one in compared))]
    return text.environment().get_template("measured.txt.j2").render(
        table=text.Block(comparison.render(compared).rstrip()),
        what=_what(first.after),
        before=first.before,
        origin=first.origin,
        top=_answered(top),
        again=shlex.join(words),
    ).rstrip() + "\n"  # fmt: skip


def again(results: Sequence[RunResult], top: bytes) -> str:
    """The command that anybody gets this result by."""
    first, machine, usual = results[0], results[0].machine, Request(target="")
    label, _, base = first.provenance.label.rpartition(" on ")
    part = PART.search(first.provenance.label)
    named = rfc822.header(top, "Message-ID").strip("<> ")
    words = ["rig", "run", (not part and target.typed(named)) or label, "--base", base]
    words += _tree(first.provenance.origin)
    arches = tuple(dict.fromkeys(result.machine.arch for result in results))
    words += ["--arch", ",".join(arches)]
    repeat = sum(one.provenance.label == first.provenance.label for one in results) // len(arches)
    options = {
        "--schedule": (machine.schedule.kind, usual.schedule),
        "--seed": (first.provenance.seed, usual.seed),
        "--iterations": (first.provenance.iterations, usual.iterations),
        "--pages": (first.provenance.pages, usual.pages),
        "--repeat": (repeat, usual.repeat),
        "--flavour": (first.provenance.flavour, usual.flavour),
        "--cpus": (machine.cpus, usual.cpus),
        "--memory": (machine.memory, usual.memory),
        "--zram": (machine.swap.zram, usual.zram),
        "--swap-disk": (machine.swap.disk, usual.swap_disk),
    }
    words += _unusual(options)
    if machine.lru_gen is not None:
        words.append("--lru-gen" if machine.lru_gen else "--no-lru-gen")
    if not part and any(PART.search(one.provenance.label) for one in results):
        words.append("--each-patch")
    # What its own cover letter promises it is held to without being asked.
    if asked := [one for one in first.provenance.promises if one.encode() not in top]:
        words += ["--promise", ",".join(asked)]
    return shlex.join([*words, *_selection(results)])


def _target(label: str) -> str:
    """What stands for it on the command line: of a series on top of another, itself alone."""
    name, on, _ = label.rpartition(" on ")
    return name.rpartition(" + ")[2] if on else label


def _tree(origin: str) -> list[str]:
    match = re.match(r"git tree (.+), ", origin)
    return ["--tree", match[1]] if match else []


def _what(label: str) -> str:
    part = PART.search(label)
    return f"the first {part[1]} patches of this series" if part else "this series"


def _unusual(options: Mapping[str, tuple[object, object]]) -> Iterator[str]:
    """The options, of (value, default), that have to be said."""
    for option, (value, default) in options.items():
        if value != default:
            yield from (option, str(value))


def _selection(results: Sequence[RunResult]) -> list[str]:
    """What was chosen of the suites, where it was not all that run by themselves."""
    ran = {(one.suite, case.name) for result in results for one in result.suites
           for case in one.cases}  # fmt: skip
    usual = {(name, case.name) for name, one in suite.standard().items() for case in one.cases}
    if not ran or ran == usual:
        return []
    suites = sorted({name for name, _ in ran})
    every = {
        (name, case.name)
        for name in suites
        if name in suite.known()
        for case in suite.known()[name].cases
    }
    if ran == every:
        return ["--suite", ",".join(suites)]
    return ["--case", ",".join(f"{name}/{case}" for name, case in sorted(ran))]
