# SPDX-License-Identifier: GPL-2.0-only
"""The mail that answers a cover letter."""

import email
import email.policy
import re
from collections.abc import Sequence
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pydantic
import pytest

from rig.campaigns import bisection, compare, execute, mutation
from rig.campaigns.bisection import Bisection, Culprit, Evidence
from rig.campaigns.compare import Comparison
from rig.campaigns.inquiry import Question
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult
from rig.campaigns.statistics import Difference, Line
from rig.errors import ConfigError, InfraError
from rig.guest.qemu import Seeded
from rig.kernel.tree import Subject
from rig.log import Event
from rig.report import reply
from rig.verdict.rules import Outcome, Verdict
from tests.unit.conftest import about, case, of_revision

Results = dict[str, tuple[RunResult, ...]]
ANN = "Ann Exämple <ann@example.org>"
COVER = """\
From: =?utf-8?q?Zo=C3=AB?= <zoe@example.org>
To: linux-mm@example.org, broken <>, Zoe <ZOE@example.org>
Cc: "Doe, J." <jd@example.org>,
 ann@example.org, linux-mm@example.org
Date: Mon, 2 Mar 2026 10:00:00 +0000
Message-Id: <unmap-v2-0@example.org>
References: <older@example.org>
Subject: [PATCH v2 0/3] mm: batch the TLB flush of
 pageout

Why.
"""


def stored(tmp_path: Path, results: Sequence[RunResult], top: str = COVER) -> Path:
    directory = tmp_path / "20260302-100000-unmap-batch"
    for number, result in enumerate(results):
        execute.store_result(result, directory / str(number))
        if top:
            (directory / str(number) / "top.eml").write_bytes(top.encode())
    return directory


def answer(
    tmp_path: Path, results: Sequence[RunResult], name: str = "", top: str = COVER
) -> tuple[EmailMessage, str]:
    data = reply.reply(stored(tmp_path, results, top), name)
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message, str(message.get_content())


def test_it_goes_to_the_author_and_to_all_it_went_to(tmp_path: Path, results: Results) -> None:
    message, _ = answer(tmp_path, results["pass"], ANN)
    assert message["From"] == ANN
    assert message["To"] == "Zoë <zoe@example.org>"
    assert message["Cc"] == 'linux-mm@example.org, "Doe, J." <jd@example.org>'
    assert message["Subject"] == "Re: [PATCH v2 0/3] mm: batch the TLB flush of pageout"


def test_it_is_below_the_cover_letter(tmp_path: Path, results: Results) -> None:
    message, _ = answer(tmp_path, results["pass"])
    assert message["In-Reply-To"] == "<unmap-v2-0@example.org>"
    assert message["References"] == "<older@example.org> <unmap-v2-0@example.org>"
    assert message["From"] is None, "nobody's, unless somebody is named"


def test_an_answer_is_wanted_elsewhere(tmp_path: Path, results: Results) -> None:
    top = "Reply-To: list@example.org\n" + COVER.replace("Subject: ", "Subject: Re: ")
    message, _ = answer(tmp_path, results["pass"], top=top)
    assert (message["To"], message["Subject"][:8]) == ("list@example.org", "Re: [PAT")


def test_what_was_tested_is_said(tmp_path: Path, results: Results) -> None:
    _, text = answer(tmp_path, results["pass"])
    assert text.startswith(
        "On Mon, 02 Mar 2026 10:00:00 +0000, Zoë <zoe@example.org> wrote:\n"
        "> [PATCH v2 0/3] mm: batch the TLB flush of pageout\n\n"
        "I ran this series in virtual machines: PASS.\n\n"
        "base    v6.12\n        Debian linux-source-6.12 6.12.117-1, sha256\n"
    )
    assert "\ncommit  c0ffee (base and series, as applied)\n" in text
    for word in (
        "x86_64   PASS: ",
        "arm64    PASS: ",
        "TCG live, 4 CPUs, 1024 MiB",
        "pswpout 937,",
    ):
        assert word in text
    assert max(map(len, text.split("To run it again")[0].splitlines())) <= 76


def test_a_tag_is_for_a_pass_and_a_name(
    tmp_path: Path, results: Results, events: list[Event]
) -> None:
    tag = f"\n\nTested-by: {ANN} # only stale_tlb/anon_lost_write\n"
    assert answer(tmp_path / "1", results["pass"], ANN)[1].endswith(tag)
    assert "Tested-by" not in answer(tmp_path / "2", results["pass"])[1]
    assert not any("no Tested-by" in str(event) for event in events)
    for number, kind in enumerate(("inconclusive", "splat", "build", "boot", "broken")):
        assert "Tested-by" not in answer(tmp_path / f"3{number}", results[kind], ANN)[1]
    assert any("no Tested-by: the outcome is not PASS" in str(event) for event in events)
    mixed = (*results["pass"], *results["inconclusive"])
    assert "Tested-by" not in answer(tmp_path / "4", mixed, ANN)[1]


def measured(subject: Subject, against: str, **rest: Any) -> Comparison:
    """Of a benchmark: a series against its base, or another target."""
    options = rest.pop("options", {})
    base = subject.base if subject.series else ""
    given = {
        "bench": "lazyfree_reclaim",
        "request": Request(target=subject.target, base=base, **options),
        "against": against, "subject": subject, "before": against, "after": subject.label,
        "origin": "Debian", "release": "6.12.0", "rounds": 1, "discarded": (), "lines": (), **rest,
    }  # fmt: skip
    return Comparison(**given)


def test_what_was_measured_is_said(tmp_path: Path, results: Results) -> None:
    directory = stored(tmp_path, results["pass"])
    machine = replace(results["pass"][0].machine, schedule=Seeded(seed=1))
    line = Line(
        metric="split_deferred", before=(2048.0,), after=(0.0,), low=-2048, high=-2048, chance=0,
        difference=Difference.LOWER,
    )  # fmt: skip
    v2 = Subject(base="v6.12", series=("unmap-batch@v2",))
    seeded = {"schedule": "seeded"}
    comparison = measured(v2, "v6.12", machine=machine, lines=(line,), options=seeded)
    both = (comparison, replace(comparison, machine=replace(machine, arch="arm64")))
    stored_as = pydantic.TypeAdapter(tuple[Comparison, ...]).dump_json(both)
    (directory / compare.FILE).write_bytes(stored_as)
    mail = email.message_from_bytes(reply.reply(directory, ANN), policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    text = str(mail.get_content())
    assert mail["In-Reply-To"] == "<unmap-v2-0@example.org>"
    assert "I measured this series in virtual machines, against v6.12.\n" in text
    assert "split_deferred         2048          0             -2048 (-100.0%)\n" in text
    assert text.endswith(
        "\n  rig bench unmap-batch@v2 --base v6.12 --arch x86_64,arm64 --schedule seeded"
        " --rounds 1 --bench lazyfree_reclaim\n"
    )
    assert "Tested-by" not in text and "rig report" not in text


@pytest.mark.parametrize(
    ("subject", "against", "options", "line"),
    [
        (
            Subject(base="v6.12", series=("b@v1", "a@v2"), upto=1), "v6.12", {},
            "a@v2:1 --base v6.12",
        ),
        (
            Subject(base="v7.2", series=("b@v4",)), "b@v3", {},
            "b@v4 --base v7.2 --against b@v3",
        ),
        (Subject(base="v6.12"), "b@v4", {}, "v6.12 --against b@v4"),
        (Subject(base="v6.12"), "v6.12", {}, "v6.12 --against v6.12"),
        (
            Subject(base="mine", series=("b@v4",)), "mine", {"tree": Path("/t"), "cpus": 2},
            "b@v4 --base mine --tree /t --cpus 2",
        ),
    ],
)  # fmt: skip
def test_a_measurement_can_be_seen_again(
    results: Results, subject: Subject, against: str, options: dict[str, Any], line: str
) -> None:
    comparison = measured(
        subject, against, options=options, bench="dirty_reclaim", rounds=9,
        discarded=("round 2: oom",), machine=results["pass"][0].machine,
    )  # fmt: skip
    text = reply._measured([comparison], COVER.encode())
    assert text.endswith(f"\n  rig bench {line} --rounds 10 --bench dirty_reclaim\n")
    assert ("the first 1 patches of" in text) == (subject.upto == 1)


def test_a_part_of_a_series_is_not_the_series(tmp_path: Path, results: Results) -> None:
    provenance = of_revision(2, 1)
    part = tuple(replace(result, provenance=provenance) for result in results["pass"])
    _, text = answer(tmp_path, part, ANN)
    assert "I ran the first 1 patches of this series" in text
    assert "Tested-by" not in text
    assert "rig run unmap-batch@v2:1 --base v6.12" in text


def test_a_series_that_does_not_bisect_has_not_passed(tmp_path: Path, results: Results) -> None:
    part, own = (
        replace(result, provenance=about(result.provenance, each_patch=True))
        for result in results["each-patch"]
    )
    _, text = answer(tmp_path / "1", (part, own), ANN)
    assert "machines: PASS." in text and f"Tested-by: {ANN}" in text
    verdict = Verdict(outcome=Outcome.FAIL, reason="patch 1/3 (mm: one): it does not compile")
    _, text = answer(tmp_path / "2", (replace(part, verdict=verdict), own), ANN)
    assert "machines: FAIL." in text and "Tested-by" not in text
    assert "patch 1/3 (mm: one): it does not compile" in text
    assert text.rstrip().endswith(" --each-patch --case stale_tlb/anon_lost_write")
    assert "rig run unmap-v2-0@example.org --base" in text, "the whole series, not its first patch"


def test_what_failed_is_shown(tmp_path: Path, results: Results) -> None:
    failed = tuple(replace(result, provenance=of_revision(2)) for result in results["fail"])
    _, text = answer(tmp_path / "1", failed)
    assert "virtual machines: FAIL." in text
    assert "> page 17: CPU 2 wrote 42, read back 41" in text
    _, text = answer(tmp_path / "2", results["build"])
    assert "mm/vmscan.c:7: error: no" in text


def test_whose_failure_it_is_is_said(tmp_path: Path, results: Results) -> None:
    """What the base has as well is no FAIL, and no PASS that gets a Tested-by."""
    series, base = results["blamed"]
    _, text = answer(tmp_path / "1", (series,), ANN)
    assert "virtual machines: FAIL." in text
    said = " ".join(text.split())
    assert "introduced by patch 3/4 (mm/rmap: unmap a folio's PTEs at once) fails in 7 of" in said
    _, text = answer(tmp_path / "2", (base,), ANN)
    assert "virtual machines: INCONCLUSIVE." in text and "Tested-by" not in text
    assert "stale_tlb/anon_lost_write: already there" in text


def again(results: Sequence[RunResult]) -> str:
    return reply.again(results, COVER.encode())


def test_one_line_to_see_it_again(results: Results) -> None:
    usual = "rig run unmap-v2-0@example.org --base v6.12 --arch x86_64,arm64"
    few = " --case stale_tlb/anon_lost_write,stale_tlb/other"
    assert again(results["pass"]) == usual + few
    result = results["pass"][0]
    seeded = replace(
        result,
        machine=replace(
            result.machine,
            schedule=Seeded(seed=7),
            cpus=2,
            lru_gen=False,
        ),
        provenance=about(
            result.provenance, seed=7, flavour="debug", schedule="seeded", cpus=2, lru_gen=False
        ),
    )
    assert again([seeded]) == (
        "rig run unmap-v2-0@example.org --base v6.12 --flavour debug --schedule seeded --cpus 2"
        " --no-lru-gen" + few + " --seed 7"
    )
    assert again(results["repeated"]).endswith(" --repeat 3")
    few_of_it = about(result.provenance, iterations=7, pages=64, promises=("madv_free/a",))
    few_of_it = replace(few_of_it, promises=("madv_free/a", "reclaim/b"))
    text = again([replace(result, provenance=few_of_it)])
    assert text.endswith(" --promise madv_free/a --iterations 7 --pages 64"), "as it was asked for"
    on_x86 = usual.removesuffix(" --arch x86_64,arm64")
    assert again(results["build"]) == on_x86, "no case ran: all were to"
    provenance_of_two = about(
        result.provenance, cases=("anon_lost_write", "stale_tlb/shmem_lost_write")
    )
    ran = replace(result.suites[0], cases=(case("anon_lost_write"), case("shmem_lost_write")))
    assert again([replace(result, provenance=provenance_of_two, suites=(ran,))]) == (
        f"{on_x86} --case anon_lost_write,stale_tlb/shmem_lost_write"
    )


def test_a_tree_of_the_users_own_is_named(results: Results) -> None:
    result = results["build"][0]
    theirs = about(result.provenance, tree=Path("/home/ann/my linux"))
    assert "--base v6.12 --tree '/home/ann/my linux'" in again([replace(result, provenance=theirs)])


@pytest.mark.parametrize(
    "name", ["Ann", "ann@example.org", "Ann <ann>", "A <a@b>, B <c@d>", "<>", "D, J <j@x>"]
)
def test_names_that_are_none(tmp_path: Path, results: Results, name: str) -> None:
    with pytest.raises(ConfigError, match="is not a name with an address"):
        answer(tmp_path, results["pass"], name)


@pytest.mark.parametrize(
    ("kind", "top", "complaint"),
    [
        ("pass", "", "is not a run of a series from a mail"),
        ("pass", COVER.replace("Message-Id", "X-Id"), "has no Message-ID"),
        ("pass", re.sub("Message-Id: <.*>", "Message-Id: <script>", COVER), "has no Message-ID"),
        ("fail", COVER, "had mutant no-remote-flush on"),
    ],
)
def test_runs_that_answer_nothing(
    tmp_path: Path, results: Results, kind: str, top: str, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        answer(tmp_path, results[kind], top=top)


def test_a_run_that_is_damaged_or_of_a_bench_alone_answers_nothing(
    tmp_path: Path, results: Results
) -> None:
    (result, *_) = results["pass"]
    bench = replace(result, suites=(replace(result.suites[0], suite="bench"),))
    with pytest.raises(ConfigError, match="has no test of a series"):
        answer(tmp_path / "1", [bench])
    directory = stored(tmp_path / "2", [result])
    (directory / "0" / execute.RESULT).write_text("{")
    with pytest.raises(InfraError, match=r"result\.json cannot be read: it is damaged"):
        reply.reply(directory)


def test_a_run_of_mutants_answers_nothing(
    tmp_path: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutation, "load", lambda directory: "mutants")
    with pytest.raises(ConfigError, match="is a `rig mutate`"):
        answer(tmp_path, results["pass"])


def test_a_mail_that_went_to_nobody_known(
    tmp_path: Path, results: Results, events: list[Event]
) -> None:
    top = "\n".join(line for line in COVER.split("\n") if not line.startswith(("To", "Cc", " ann")))
    message, _ = answer(tmp_path, results["pass"], top=top)
    assert message["Cc"] is None
    assert any("has no other recipients" in str(event) for event in events)


# A bisection


PATCH = "[PATCH] mm: batch the flush"
MAIL = f"""\
From: Zoë <zoe@example.org>
Cc: Ann <ann@example.org>, linux-mm@example.org
Date: Mon, 2 Mar 2026 10:00:00 +0000
Message-ID: <unmap-1@example.org>
Subject: {PATCH}
"""


def bisected(**rest: Any) -> Bisection:
    evidence = Evidence(
        name="c11", runs=2, seeds=(4, 9), again=("rig", "run", "c11", "--seed", "4")
    )
    culprit = Culprit(
        name="0123456789ab", commit="0123456789abcdef", subject="mm: batch the flush",
        author="Zoë", link="", diffstat="", chance=0.9961, failing=evidence,
        passing=(replace(evidence, name="c10", runs=30),), same_kernel=False, mail=MAIL,
    )  # fmt: skip
    given: dict[str, Any] = {
        "request": Request(target="main", tree=Path("/linux")), "good": "v6.12", "bad": "main",
        "paths": (), "first_parent": False, "commits": 64, "arch": "x86_64", "schedule": "seeded",
        "question": Question(), "confidence": 0.99, "headline": "page 17: wrong",
        "signature": "stale_tlb/anon_lost_write: wrong data", "runs": 40, "failures": 12,
        "rate": 0.3, "low": 0.2, "high": 0.4, "tested": (), "others": (), "suspects": (),
        "culprit": culprit, "reason": "", "builds": 7, "guests": 90, **rest,
    }  # fmt: skip
    return Bisection(**given)


def told(tmp_path: Path, found: Bisection) -> EmailMessage:
    directory = stored(tmp_path, ())
    directory.mkdir(parents=True)
    bisection.store(found, directory)
    mail = email.message_from_bytes(reply.reply(directory, ANN), policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def test_a_bisection_answers_the_culprits_mail(tmp_path: Path, events: list[Event]) -> None:
    mail = told(tmp_path, bisected())
    assert (mail["To"], mail["Cc"]) == ("Zoë <zoe@example.org>", "linux-mm@example.org")
    assert (mail["Subject"], mail["In-Reply-To"]) == (f"Re: {PATCH}", "<unmap-1@example.org>")
    text = str(mail.get_content())
    assert text == (
        "On Mon, 02 Mar 2026 10:00:00 +0000, Zoë <zoe@example.org> wrote:\n"
        f"> {PATCH}\n"
        "\n"
        "I bisected a failure in virtual machines: this patch is the culprit, with\n"
        "99.6 %.\n"
        "\n"
        "commit   0123456789abcdef\n"
        "range    v6.12..main: 64 commits; all suites on x86_64, seeded\n"
        "\n"
        "failure  stale_tlb/anon_lost_write: wrong data\n"
        "         page 17: wrong\n"
        "rate     12 of 40 runs of bad commits: 30% (95 %: 20% to 40%)\n"
        "\n"
        "fails at the culprit, in 2 runs, with the seeds 4, 9:\n"
        "  rig run c11 --seed 4\n"
        "\n"
        "passes at c10 before it, in 30 runs, with the seeds 4, 9:\n"
        "  rig run c11 --seed 4\n"
        "\n"
        "7 builds, 90 guests\n"
    )
    assert any("look whether it is the patch" in event.text for event in events)


def test_no_mail_without_a_culprit_or_without_its_mail(tmp_path: Path) -> None:
    found = bisected()
    assert found.culprit
    with pytest.raises(ConfigError, match="has no culprit"):
        told(tmp_path / "1", replace(found, culprit=None))
    with pytest.raises(ConfigError, match="has no culprit"):
        told(tmp_path / "2", replace(found, culprit=replace(found.culprit, same_kernel=True)))
    with pytest.raises(ConfigError, match="does not say which mail it was"):
        told(tmp_path / "3", replace(found, culprit=replace(found.culprit, mail="")))


def test_a_bisection_is_no_test_of_the_series(tmp_path: Path, results: Results) -> None:
    """Not for `rig b4-check`: it ran one case, until it failed."""
    directory = stored(tmp_path, results["pass"])
    assert reply.tests(directory)
    bisection.store(bisected(), directory)
    assert reply.tests(directory) == ()
