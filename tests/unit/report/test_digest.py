# SPDX-License-Identifier: GPL-2.0-only
"""What a maintainer reads in the morning."""

import email
import email.policy
from dataclasses import replace
from pathlib import Path

import pytest

from rig.campaigns.handover import Found
from rig.campaigns.nightfile import Mail
from rig.campaigns.nightly import Morning, Night
from rig.campaigns.nightplan import Plan
from rig.errors import InfraError
from rig.history.changes import Cell, Finding, Kind
from rig.history.night import Change
from rig.report import digest
from rig.verdict.rules import Outcome
from tests.unit.conftest import Program

PLAN = Plan(rows=(), jobs=())
NIGHT = Night(name="2026-11-28 mm", began="2026-11-28T22:00:00+00:00", budget=3600.0, plan=PLAN)
QUIET = Morning(
    night=NIGHT, directory=Path("/s/runs/20261128-220000-nightly-mm"),
    outcomes=(Outcome.PASS,) * 48, changes=(), seconds=1260.0,
)  # fmt: skip


def change(kind: Kind, name: str = "stale_tlb/anon_lost_write", new: bool = True) -> Change:
    old, now = (Cell(night="x", commit=letter * 40) for letter in "ab")
    text = "page 17: CPU 2 wrote 42, read back 41"
    finding = Finding(kind=kind, new=new, since=now, before=old, text=text)
    return Change(tree="mm-unstable", source="/l", setup="arm64 tcg live", name=name,
                  finding=finding)  # fmt: skip


def with_changes(*changes: Change) -> Morning:
    return replace(QUIET, changes=changes)


def test_one_line_if_nothing_changed() -> None:
    assert digest.render(QUIET) == "2026-11-28 mm: nothing changed; 48 runs, 21 min\n"
    assert digest.render(replace(QUIET, seconds=3900)).endswith(" runs, 1 h 05 min\n")
    failing = with_changes(change(Kind.STILL_FAILING, new=False))
    assert digest.render(failing) == (
        "2026-11-28 mm: nothing changed; 48 runs, 1 failing as before, 21 min\n"
    )
    assert failing.outcome is Outcome.PASS


def test_a_new_failure_comes_first() -> None:
    morning = with_changes(change(Kind.NEW_FAILURE), change(Kind.FIXED, "reclaim/x"))
    assert morning.outcome is Outcome.FAIL
    assert (
        digest.render(morning)
        == """\
2026-11-28 mm: 1 new failure, 1 fixed; 48 runs, 21 min

new failure
  stale_tlb/anon_lost_write: mm-unstable, arm64 tcg live
    page 17: CPU 2 wrote 42, read back 41 (aaaaaaaaaaaa..bbbbbbbbbbbb)
fixed
  reclaim/x: mm-unstable, arm64 tcg live
    page 17: CPU 2 wrote 42, read back 41 (aaaaaaaaaaaa..bbbbbbbbbbbb)
rig history --night '2026-11-28 mm'
"""
    )


def test_what_a_bisection_has_found_is_below_its_change() -> None:
    one, other = change(Kind.NEW_FAILURE), change(Kind.NEW_FAILURE, "reclaim/x")
    found = (Found(change=other, trouble="the tree is gone"),)
    lines = digest.render(with_changes(one, other), found).splitlines()
    assert lines[lines.index("  reclaim/x: mm-unstable, arm64 tcg live") + 2] == (
        "    bisect: the tree is gone"
    )
    assert sum("bisect" in line for line in lines) == 1


def test_it_is_at_most_a_screen() -> None:
    many = [change(Kind.NEW_FAILURE, f"suite/{'long' * 30}{n}") for n in range(50)]
    trouble = tuple((f"/tree/{n}", "cannot be fetched " * 20) for n in range(9))
    night = replace(NIGHT, plan=replace(PLAN, trouble=trouble), left=(("x86_64-0001", "late"),))
    lines = digest.render(replace(with_changes(*many), night=night)).splitlines()
    assert len(lines) == digest.LINES and max(map(len, lines)) <= digest.WIDTH
    assert "50 new failures; " in lines[0] and "48 runs of 49" in lines[0]
    assert lines[2].startswith("not tested: /tree/0: ") and "6 more" in lines[5]
    assert lines[-1].startswith("[") and "rig history" in lines[-1]


@pytest.mark.parametrize(
    ("outcomes", "left", "trouble", "outcome"),
    [
        ((Outcome.PASS, Outcome.BROKEN), (), (), Outcome.PASS),
        ((Outcome.FAIL,), (), (), Outcome.PASS),  # it failed last night, too
        ((Outcome.BROKEN,) * 2, (), (), Outcome.BROKEN),
        ((), (), (("v9", "no"),), Outcome.BROKEN),
        ((), (("a", "the budget was used up"),), (), Outcome.INCONCLUSIVE),
        ((), (("a", "the budget was used up"), ("b", "no"),), (), Outcome.BROKEN),
    ],
)  # fmt: skip
def test_the_outcome_of_a_night(
    outcomes: tuple[Outcome, ...],
    left: tuple[tuple[str, str], ...],
    trouble: tuple[tuple[str, str], ...],
    outcome: Outcome,
) -> None:
    night = replace(NIGHT, left=left, plan=replace(PLAN, trouble=trouble))
    assert replace(QUIET, outcomes=outcomes, night=night).outcome is outcome


# Delivery


def test_nothing_is_written_where_nothing_is_named(tmp_path: Path) -> None:
    digest.deliver(QUIET, Mail())
    assert list(tmp_path.iterdir()) == []


def test_a_file_has_the_last_digest(tmp_path: Path) -> None:
    mail = Mail(file=tmp_path / "digest.txt")
    digest.deliver(with_changes(change(Kind.NEW_FAILURE)), mail)
    digest.deliver(QUIET, mail)
    assert (tmp_path / "digest.txt").read_text() == digest.render(QUIET)
    with pytest.raises(InfraError, match="cannot be written"):
        digest.deliver(QUIET, Mail(file=tmp_path / "no" / "digest.txt"))


def test_a_maildir_has_a_mail_once(tmp_path: Path) -> None:
    mail = Mail(maildir=tmp_path / "mail", to="me@example.org")
    digest.deliver(QUIET, mail)
    digest.deliver(QUIET, mail)
    (path,) = (tmp_path / "mail" / "new").iterdir()
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert message["Subject"] == digest.headline(QUIET)
    assert message.get_content() == digest.render(QUIET)
    assert (message["To"], message["From"]) == ("me@example.org", "rig@localhost")
    path.rename(tmp_path / "mail" / "cur" / f"{path.name}:2,S")  # it is read
    digest.deliver(QUIET, mail)
    assert list((tmp_path / "mail" / "new").iterdir()) == []
    assert list((tmp_path / "mail" / "tmp").iterdir()) == []


def test_a_program_gets_the_mail(tmp_path: Path, program: Program) -> None:
    out = tmp_path / "out"
    path = program("mailer", f'echo "$@" >{out}; cat >>{out}')
    digest.deliver(QUIET, Mail(sendmail=str(path), to="me@example.org"))
    words, _, sent = out.read_text().partition("\n")
    assert words == "-t -i"
    message = email.message_from_string(sent, policy=email.policy.default)
    assert message["To"] == "me@example.org" and "nothing changed" in message.get_content()
    with pytest.raises(InfraError):
        digest.deliver(QUIET, Mail(sendmail=str(program("bad", "exit 1")), to="a@b"))
