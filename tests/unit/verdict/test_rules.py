# SPDX-License-Identifier: GPL-2.0-only
from dataclasses import asdict, replace

import pytest
from pydantic import TypeAdapter

from rig.errors import (
    ApplyError,
    BootError,
    BuildError,
    ConfigError,
    GuestLost,
    InfraError,
    RigError,
)
from rig.guest.console import Splat, SplatKind
from rig.verdict import ktap
from rig.verdict.floors import Floor
from rig.verdict.identity import Identity, pool
from rig.verdict.rules import (
    CaseResult,
    Outcome,
    Owner,
    Shows,
    SuiteResult,
    Trouble,
    Verdict,
    conclude,
    judge,
    killed,
    lost,
    not_run,
)

PASS, SKIP, INCONCLUSIVE, FAIL, BROKEN = Outcome
FLOORS = (Floor(counter="writes", at_least=1000), Floor(counter="pswpout", at_least=10))
COUNTED = ("# counter writes 1400000", "# counter pswpout 10")


def case(name: str, outcome: Outcome, reason: str = "why") -> CaseResult:
    return CaseResult(name=name, outcome=outcome, reason=reason)


def suite(name: str, *outcomes: Outcome) -> SuiteResult:
    cases = tuple(case(f"case{i}", outcome) for i, outcome in enumerate(outcomes, 1))
    return SuiteResult(suite=name, cases=cases)


def splat(kind: SplatKind, title: str = "", text: tuple[str, ...] = ()) -> Splat:
    return Splat(kind=kind, title=title or kind, text=text, fatal=kind.fatal, at=1.0)


def judged(
    *lines: str, floors: tuple[Floor, ...] = FLOORS, exit_status: int | None = 0
) -> CaseResult:
    text = "".join(f"{line}\n" for line in ("KTAP version 1", "1..1", *lines))
    return judge(ktap.parse(text), "a", floors, exit_status, 2.5)


# 1. Zero cases is never PASS.


def test_rule_1_zero_cases_is_never_pass() -> None:
    assert Outcome.worst(()) is INCONCLUSIVE
    assert suite("s").outcome is INCONCLUSIVE
    assert conclude((), (), None) == Verdict(
        outcome=INCONCLUSIVE, reason="no case of any suite was run"
    )
    verdict = conclude((suite("full", PASS), suite("empty")), (), None)
    assert verdict == Verdict(outcome=INCONCLUSIVE, reason="no case of empty was run")


def test_rule_1_zero_cases_is_never_pass_and_skips_are_no_cases() -> None:
    assert suite("s", SKIP, SKIP).outcome is SKIP
    verdict = conclude((suite("s", SKIP, SKIP),), (), None)
    assert verdict == Verdict(outcome=INCONCLUSIVE, reason="s/case1: why (and 1 more SKIP)")
    assert SKIP.exit_status == INCONCLUSIVE.exit_status == 4


def test_a_skip_does_not_change_a_pass() -> None:
    suites = (suite("s", PASS, SKIP), suite("t", SKIP))
    assert suites[0].outcome is PASS
    assert conclude(suites, (), None) == Verdict(outcome=PASS, reason="1 case passed, 2 skipped")
    assert conclude((suite("s", PASS, PASS),), (), None).reason == "2 cases passed"


# 2. Rig or host trouble is BROKEN, never FAIL. A kernel that will not build, boot or stay up is
#    FAIL.


@pytest.mark.parametrize(
    ("error", "owner", "outcome"),
    [
        (InfraError("no QEMU"), Owner.RIG, BROKEN),
        (ConfigError("no such base"), Owner.RIG, BROKEN),
        (RigError("something"), Owner.RIG, BROKEN),
        (ApplyError("does not apply"), Owner.SERIES, FAIL),
        (BuildError("does not compile"), Owner.SERIES, FAIL),
        (BootError("does not boot"), Owner.KERNEL, FAIL),
        (GuestLost("is gone"), Owner.KERNEL, FAIL),
    ],
)
def test_rule_2_rig_or_host_trouble_is_broken_never_fail_and_a_dead_kernel_is_fail(
    error: RigError, owner: Owner, outcome: Outcome
) -> None:
    trouble = Trouble.of(error)
    assert trouble == Trouble(owner=owner, reason=error.message)
    for suites in ((), (suite("s", PASS),), (suite("s", INCONCLUSIVE, SKIP),)):
        verdict = conclude(suites, (), trouble)
        assert verdict == Verdict(outcome=outcome, reason=error.message)


def test_rule_2_trouble_of_the_host_does_not_undo_a_failure_of_the_kernel() -> None:
    trouble = Trouble(owner=Owner.RIG, reason="QEMU was killed")
    verdict = conclude((suite("s", PASS, FAIL, BROKEN),), (), trouble)
    assert verdict.outcome is FAIL
    assert verdict.reason == "s/case2: why; the run stopped early: QEMU was killed"
    assert Outcome.worst([FAIL, BROKEN]) is FAIL


def test_rule_2_a_case_after_the_loss_is_not_run_and_does_not_decide() -> None:
    trouble = Trouble(owner=Owner.KERNEL, reason="the guest does not answer")
    gone = lost("a", GuestLost(trouble.reason), 1.0)
    suites = (SuiteResult(suite="s", cases=(gone, not_run("b", trouble))),)
    verdict = Verdict(outcome=FAIL, reason="s/a: the guest does not answer")
    assert conclude(suites, (), trouble) == verdict
    assert suites[0].cases[1].outcome is INCONCLUSIVE
    assert suites[0].cases[1].reason == "not run: the guest does not answer"
    assert not_run("b", Trouble(owner=Owner.RIG, reason="disk full")).outcome is BROKEN


@pytest.mark.parametrize(
    ("lines", "exit_status", "reason"),
    [
        (("Bail out! no swap",), 3, "the program bailed out: no swap"),
        ((*COUNTED, "ok 1 a", "Bail out!"), 3, "the program bailed out: no reason given"),
        ((), 2, "the program does not know this case or these options"),
        ((), 126, "the program was not run: it cannot be executed"),
        ((), 127, "the program was not run: it was not found"),
        ((*COUNTED, "ok 1 a"), 127, "printed ok, but exited with status 127"),
        ((*COUNTED, "ok 1 a"), 2, "the program does not know this case or these options"),
        ((*COUNTED, "ok 1 a"), 1, "printed ok, but exited with status 1"),
        ((*COUNTED, "ok 1 a"), 139, "printed ok, but exited with status 139"),
        (("ok 1 a # SKIP no THP",), 1, "printed ok, but exited with status 1"),
        (("ok 1 b",), 0, "no result of 'a', only of 'b'"),
        (("not ok 1 a # ERROR fork",), 1, "the case could not run: fork"),
        (
            ("noise", *COUNTED, "ok 1 a"),
            0,
            "the output is not valid KTAP: line 3: not KTAP: 'noise'",
        ),
        (
            ("noise", "not ok 1 a"),
            1,
            "the output is not valid KTAP: line 3: not KTAP: 'noise' (the result is not ok)",
        ),
        ((), 0, "the output is not valid KTAP: 1 tests planned, 0 reported"),
        ((), None, "the output is not valid KTAP: 1 tests planned, 0 reported"),
        ((), 137, "killed by SIGKILL before it printed a result"),
        ((), -15, "killed by SIGTERM before it printed a result"),
        ((), 255, "killed by signal 127 before it printed a result"),
        (
            ("# counter writes 1000", "ok 1 a"),
            0,
            "has a floor for pswpout, but printed no such counter",
        ),
    ],
)
def test_rule_2_a_fault_of_the_rig_is_broken(
    lines: tuple[str, ...], exit_status: int | None, reason: str
) -> None:
    result = judged(*lines, exit_status=exit_status)
    assert result.outcome is BROKEN
    assert result.reason.endswith(reason)


def test_rule_2_two_results_instead_of_one_are_broken() -> None:
    report = ktap.parse("KTAP version 1\n1..2\n# counter x 1\nok 1 a\nok 2 b\n")
    result = judge(report, "a", (Floor(counter="x", at_least=1),), 0, 0.0)
    assert (result.outcome, result.reason) == (BROKEN, "2 results, expected one")


@pytest.mark.parametrize("exit_status", [139, -11, 135, -7, 132, 136, 134, 133])
def test_a_program_that_crashes_on_its_own_memory_is_the_kernels_fault(exit_status: int) -> None:
    evidence = "# evidence page 3: CPU 1 wrote 7, read back 0"
    result = judged(evidence, exit_status=exit_status)
    assert result.outcome is FAIL
    assert result.reason.startswith("page 3: CPU 1 wrote 7, read back 0; then crashed with SIG")
    assert result.evidence == ("page 3: CPU 1 wrote 7, read back 0",)
    assert result.shows is Shows.WRONG_DATA
    assert judged(exit_status=exit_status).reason.startswith("crashed with SIG")
    assert judged(exit_status=exit_status).shows is Shows.NOT_OK


@pytest.mark.parametrize(
    ("end", "exit_status", "then"),
    [
        (
            ("Bail out! cannot migrate: ENOENT",),
            3,
            "the program bailed out: cannot migrate: ENOENT",
        ),
        (("not ok 1 a", "Bail out!"), 3, "the program bailed out: no reason given"),
        ((), 137, "killed by SIGKILL before it printed a result"),
        ((), -15, "killed by SIGTERM before it printed a result"),
    ],
)
def test_wrong_data_counts_whatever_ended_the_program_afterwards(
    end: tuple[str, ...], exit_status: int, then: str
) -> None:
    wrong = "page 3: CPU 1 wrote 7, read back 0"
    result = judged(f"# evidence {wrong}", *end, exit_status=exit_status)
    assert (result.outcome, result.reason) == (FAIL, f"{wrong}; then {then}")
    assert (result.evidence, result.shows) == ((wrong,), Shows.WRONG_DATA)


# 3. PASS needs evidence. Every case reports counters and declares a floor for them; below the
#    floor it is INCONCLUSIVE. A race test that never raced has proved nothing.


def test_rule_3_pass_needs_evidence() -> None:
    result = judged("# 4 writers", *COUNTED, "ok 1 a")
    assert result == CaseResult(
        name="a",
        outcome=PASS,
        reason="",
        counters=(("writes", 1400000), ("pswpout", 10)),
        evidence=(),
        diagnostics=("4 writers",),
        seconds=2.5,
    )
    assert judged(*COUNTED, "ok 1 a", exit_status=None).outcome is PASS


def test_rule_3_below_the_floor_it_is_inconclusive() -> None:
    result = judged("# counter writes 999", "# counter pswpout 9", "ok 1 a")
    assert result.outcome is INCONCLUSIVE
    assert result.reason == "writes 999, at least 1000 needed; pswpout 9, at least 10 needed"
    result = judged("# counter writes 1000", "# counter pswpout 9", "ok 1 a")
    assert result.reason == "pswpout 9, at least 10 needed"


@pytest.mark.parametrize(
    ("cannot", "outcome"),
    [
        (("# counter no_thp_swap 0",), Outcome.INCONCLUSIVE),
        (("# counter no_thp_swap 1",), Outcome.PASS),
        ((), Outcome.BROKEN),
    ],
)
def test_rule_3_a_floor_of_what_the_kernel_cannot_do(
    cannot: tuple[str, ...], outcome: Outcome
) -> None:
    """The program says so by a counter, which must be there."""
    floors = (*FLOORS, Floor(counter="whole", at_least=5, unless="no_thp_swap"))
    result = judged(*COUNTED, "# counter whole 0", *cannot, "ok 1 a", floors=floors)
    assert result.outcome is outcome, result.reason


def test_rule_3_a_case_declares_a_floor_or_proves_nothing() -> None:
    result = judged(*COUNTED, "ok 1 a", floors=())
    assert result.outcome is INCONCLUSIVE
    assert "no floor" in result.reason


@pytest.mark.parametrize("at_least", [0, -1])
def test_rule_3_a_floor_that_every_run_reaches_is_refused(at_least: int) -> None:
    with pytest.raises(ConfigError, match="every run reaches"):
        Floor(counter="writes", at_least=at_least)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("# evidence first", "# evidence second", "# why", "not ok 1 a # x"), "first"),
        (("# some", "# why", "not ok 1 a # rc=1"), "rc=1"),
        (("# some", "# killed by signal 11", "not ok 1 a"), "killed by signal 11"),
        (("not ok 1 a",), "not ok; no reason given"),
        (("not ok 1 a # TIMEOUT 30 s",), "did not end in time: 30 s"),
    ],
)
@pytest.mark.parametrize("exit_status", [1, 0, None, 139])
def test_not_ok_is_fail_whatever_the_floors_with_the_first_evidence_as_reason(
    lines: tuple[str, ...], reason: str, exit_status: int | None
) -> None:
    result = judged(*lines, exit_status=exit_status)
    assert (result.outcome, result.reason) == (FAIL, reason)


@pytest.mark.parametrize(
    ("line", "outcome", "reason"),
    [
        ("ok 1 a # SKIP no THP", SKIP, "no THP"),
        ("not ok 1 a # SKIP no THP", SKIP, "no THP"),
        ("ok 1 a # SKIP", SKIP, "no reason given"),
        ("not ok 1 a # TODO since v6.1", INCONCLUSIVE, "expected to fail: since v6.1"),
        ("not ok 1 a # XFAIL", INCONCLUSIVE, "expected to fail: XFAIL"),
    ],
)
def test_directives_need_no_floor(line: str, outcome: Outcome, reason: str) -> None:
    result = judged(line)
    assert (result.outcome, result.reason) == (outcome, reason)


def test_a_plan_that_skips_all() -> None:
    report = ktap.parse("KTAP version 1\n1..0 # SKIP no swap\n")
    result = judge(report, "a", FLOORS, 0, 0.0)
    assert (result.outcome, result.reason) == (SKIP, "no swap")


# 4. A fatal splat is a FAIL whatever the cases say, and the cases are kept. The headline is the
#    most concrete evidence.


@pytest.mark.parametrize("kind", [kind for kind in SplatKind if kind.fatal])
def test_rule_4_a_fatal_splat_is_a_fail_whatever_the_cases_say_and_they_are_kept(
    kind: SplatKind,
) -> None:
    suites = (suite("s", PASS, FAIL, BROKEN),)
    trouble = Trouble(owner=Owner.RIG, reason="SSH was closed")
    for with_trouble in (None, trouble):
        for cases in (suites, (suite("s", PASS),), ()):
            verdict = conclude(cases, (splat(kind, "BUG: bad"),), with_trouble)
            assert verdict == Verdict(outcome=FAIL, reason="BUG: bad")
    assert [case.outcome for case in suites[0].cases] == [PASS, FAIL, BROKEN]


def test_rule_4_the_first_fatal_splat_is_the_reason() -> None:
    splats = (splat(SplatKind.WARNING, "w"), splat(SplatKind.OOPS, "o"), splat(SplatKind.PANIC))
    assert conclude((), splats, None).reason == "o (and 1 more splats)"


WRONG = "page 17: CPU 2 wrote 42, read back 41"
GONE = "guest exited; no panic or oops on the console"
# Each kind of evidence, from the most concrete on, with its headline.
FINDINGS: tuple[tuple[Shows, str], ...] = (
    (Shows.WRONG_DATA, f"s/wrong: {WRONG}"),
    (Shows.FATAL_SPLAT, "kernel BUG at mm/rmap.c:7!"),
    (Shows.NOT_OK, "s/bad: rc=1"),
    (Shows.SPLAT, "WARNING: at mm/rmap.c"),
    (Shows.LOST, f"s/gone: {GONE}"),
    (Shows.CUT_OFF, "the kernel does not boot"),
)


@pytest.mark.parametrize("first", range(len(FINDINGS)))
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "with all that is less concrete"])
def test_rule_4_the_headline_is_the_most_concrete_evidence(first: int, alone: bool) -> None:
    """Whatever the order of the cases: those with less concrete evidence come first here."""
    shown = {shows for shows, _ in FINDINGS[first : first + 1 if alone else None]}
    wrong = judged(f"# evidence {WRONG}", "# evidence page 18: x", "not ok 1 a")
    failed = {
        Shows.LOST: lost("gone", GuestLost(GONE), 1.0),
        Shows.NOT_OK: replace(judged("not ok 1 a # rc=1"), name="bad"),
        Shows.WRONG_DATA: replace(wrong, name="wrong"),
    }
    cases = tuple(result for shows, result in failed.items() if shows in shown)
    kinds = {Shows.SPLAT: SplatKind.WARNING, Shows.FATAL_SPLAT: SplatKind.BUG}
    splats = tuple(splat(kind, dict(FINDINGS)[at]) for at, kind in kinds.items() if at in shown)
    boot = Trouble(owner=Owner.KERNEL, reason=dict(FINDINGS)[Shows.CUT_OFF])
    trouble = boot if Shows.CUT_OFF in shown else None
    verdict = conclude((SuiteResult(suite="s", cases=cases),), splats, trouble)
    assert verdict.outcome is FAIL
    assert verdict.reason.startswith(FINDINGS[first][1])
    assert [shows for shows, _ in FINDINGS] == list(Shows)


def test_two_cases_with_wrong_data_outrank_the_guest_that_died_after_them() -> None:
    wrong = judged(f"# evidence {WRONG}", "not ok 1 a")
    gone = lost("c", GuestLost(GONE), 1.0)
    suites = (SuiteResult(suite="s", cases=(gone, wrong, replace(wrong, name="b"))),)
    trouble = Trouble(owner=Owner.KERNEL, reason="the connection was cut off")
    assert conclude(suites, (), trouble).reason == (
        f"s/a: {WRONG} (and 2 more FAIL); the run stopped early: the connection was cut off"
    )


def test_wrong_data_that_was_printed_before_the_guest_died_counts() -> None:
    why = GuestLost(GONE)
    why.output = f"KTAP version 1\n1..1\n# evidence {WRONG}\n# evidence page 18: x\n# roun"
    result = lost("a", why, 2.512)
    assert (result.outcome, result.shows, result.seconds) == (FAIL, Shows.WRONG_DATA, 2.51)
    assert result.reason == f"{WRONG}; then {GONE}"
    assert result.evidence == (WRONG, "page 18: x")
    verdict = conclude(
        (SuiteResult(suite="s", cases=(result,)),), (splat(SplatKind.BUG, "BUG"),), None
    )
    assert verdict.reason == f"s/a: {result.reason}"


@pytest.mark.parametrize(
    ("output", "step"),
    [
        ("KTAP version 1\n1..1\n# round 3 of 8\n\n", "the program's last line: # round 3 of 8"),
        ("", "the program printed nothing"),
    ],
)
def test_a_hang_says_the_last_step_of_the_case_and_what_is_blocked(output: str, step: str) -> None:
    why = GuestLost("no answer within 120 s")
    why.output, why.hung, why.tasks = output, True, ("stale_tlb:812 (D): folio_lock <- x",)
    result = lost("a", why, 120.0)
    assert result.reason == f"no answer within 120 s; {step}"
    assert result.evidence == why.tasks
    assert result.shows is Shows.LOST


def test_a_warning_fails_a_kernel_after_its_cases() -> None:
    warning = splat(SplatKind.WARNING, "WARNING: at mm/rmap.c")
    assert conclude((suite("s", PASS),), (warning,), None) == Verdict(
        outcome=FAIL, reason="WARNING: at mm/rmap.c"
    )
    assert conclude((suite("s", FAIL),), (warning,), None).reason == "s/case1: why"


def test_splats_that_are_no_failure_change_nothing() -> None:
    noted = (splat(SplatKind.OOM), splat(SplatKind.KCSAN))
    assert conclude((suite("s", PASS),), noted, None).outcome is PASS


# 5. A mutant is killed only when every case that its Killed-By names FAILs, or a splat that it
#    names appears. (Of every case: tests/unit/campaigns/test_fates.py.)


def test_rule_5_killed_only_by_the_fail_of_a_case_that_it_names() -> None:
    for outcome in Outcome:
        how = killed(("s/a", "s/b"), "s/b", case("b", outcome), ())
        assert how == ("why" if outcome is FAIL else "")
    for name in ("s/c", "t/a", "a", "s", ""):
        assert killed(("s/a", "s/b"), name, case("a", FAIL), ()) == ""
    assert killed((), "s/a", case("a", FAIL), ()) == ""


def test_rule_5_or_a_splat_it_names_appears() -> None:
    bug = splat(
        SplatKind.BUG, "kernel BUG at mm/rmap.c:7!", ("RIP: 0010:folio_remove_rmap_ptes+0x1/0x2",)
    )
    panic = splat(SplatKind.PANIC, "Kernel panic")
    passed = case("a", PASS)
    for name in ("splat/bug", "splat/bug:folio_remove_rmap_ptes"):
        assert killed((name,), "s/a", passed, (panic, bug)) == f"{name}: kernel BUG at mm/rmap.c:7!"
    for name in ("splat/oops", "splat/bug:folio_add_lru", "bug", "splat/"):
        assert killed((name,), "s/a", passed, (panic, bug)) == ""
    assert killed(("s/a",), "s/a", passed, (panic, bug)) == ""


# 6. The accelerator and the schedule are part of a result's identity: a TCG result is never merged
#    with a KVM one.


def test_rule_6_accelerator_and_schedule_are_part_of_a_results_identity() -> None:
    tcg = Identity(arch="arm64", accel="tcg", schedule="live")
    both = pool([(tcg, suite("s", PASS)), (tcg, suite("s", FAIL, SKIP))])
    assert both.outcome is FAIL
    assert [case.outcome for case in both.cases] == [PASS, FAIL, SKIP]
    for other in (
        Identity(arch="arm64", accel="kvm", schedule="live"),
        Identity(arch="arm64", accel="tcg", schedule="seeded 7"),
        Identity(arch="x86_64", accel="tcg", schedule="live"),
    ):
        with pytest.raises(ConfigError, match="cannot pool results of"):
            pool([(tcg, suite("s", PASS)), (other, suite("s", PASS))])
    with pytest.raises(ConfigError, match="cannot pool results of"):
        pool([(tcg, suite("s", PASS)), (tcg, suite("t", PASS))])
    with pytest.raises(ConfigError):
        pool([])


def test_exit_status_of_every_verb() -> None:
    """0 pass · 1 fail · 2 bad input · 3 broken (host or rig) · 4 inconclusive."""
    assert {outcome: outcome.exit_status for outcome in Outcome} == {
        PASS: 0,
        SKIP: 4,
        INCONCLUSIVE: 4,
        FAIL: 1,
        BROKEN: 3,
    }


def test_severity() -> None:
    ordered = sorted(Outcome, key=lambda outcome: outcome.severity)
    assert ordered == [SKIP, PASS, INCONCLUSIVE, BROKEN, FAIL]
    assert conclude((suite("s", PASS, INCONCLUSIVE, BROKEN),), (), None) == Verdict(
        outcome=BROKEN, reason="s/case3: why"
    )
    verdict = conclude((suite("s", PASS, INCONCLUSIVE), suite("t", INCONCLUSIVE)), (), None)
    assert verdict.reason == "s/case2: why (and 1 more INCONCLUSIVE)"


def test_results_survive_being_stored() -> None:
    result = SuiteResult(
        suite="s",
        cases=(
            CaseResult(
                name="a",
                outcome=FAIL,
                reason="why",
                counters=(("writes", 1 << 63),),
                evidence=("e",),
                diagnostics=("d",),
                seconds=1.5,
            ),
        ),
    )
    adapter = TypeAdapter(SuiteResult)
    assert adapter.validate_json(adapter.dump_json(result)) == result
    assert asdict(result)["cases"][0]["outcome"] == "FAIL"
    bug = splat(SplatKind.BUG, "t", ("x",))
    assert TypeAdapter(Splat).validate_json(TypeAdapter(Splat).dump_json(bug)) == bug


def test_counters_with_a_floor_come_first() -> None:
    report = ktap.parse(
        "KTAP version 1\n1..1\n"
        "# counter rounds 3\n# counter reclaimed 9\n# counter raced 8\nok 1 c\n"
    )
    floors = (Floor(counter="raced", at_least=1), Floor(counter="reclaimed", at_least=1))
    result = judge(report, "c", floors, 0, 1.0)
    assert result.counters == (("reclaimed", 9), ("raced", 8), ("rounds", 3))
