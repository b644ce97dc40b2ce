# SPDX-License-Identifier: GPL-2.0-only
"""Reports that were damaged on their way are never PASS, whatever is damaged where."""

import random
import string
from collections.abc import Callable

import pytest

from rig.verdict import kselftest, ktap, rules
from rig.verdict.floors import Floor
from rig.verdict.kselftest import PASSED, Known
from rig.verdict.rules import Outcome

ROUNDS = 120
FLOOR = (Floor(counter=PASSED, at_least=1),)
STAMP = "[   12.345678] "


def name(chance: random.Random) -> str:
    words = ("mremap", "swap 4 kB", "page-3", "a", "copy: fork (x)", "SKIP_FLAG", "took 3 s")
    return chance.choice(words) + "".join(chance.choices(string.ascii_lowercase, k=3))


def remarks(chance: random.Random) -> list[str]:
    lines = ("# remark", "prose", STAMP + "mm: foo", "# not ok 1 inner", "...", "")
    return chance.choices(lines, k=chance.randrange(3))


def result(chance: random.Random, number: int, *, known: bool) -> str:
    if known and chance.random() < 0.2:
        return f"not ok {number} {chance.choice(['known', 'later # TODO', 'x # XFAIL'])}"
    return f"ok {number} {name(chance)}{chance.choice(['', '', ' # SKIP no', ' # rc=0'])}"


def nested(chance: random.Random, number: int) -> list[str]:
    """A test with subtests, as KUnit prints it."""
    count = chance.randrange(1, 4)
    indent = chance.choice(["\t", "    ", "  "])
    lines = ["KTAP version 1", "# Subtest: s", f"1..{count}"]
    lines += [f"ok {each} {name(chance)}" for each in range(1, count + 1)]
    return [*(indent + line for line in lines), f"ok {number} s"]


def report(chance: random.Random, *, known: bool = False) -> list[str]:
    """A valid report with a plan, of which at least the last result passed."""
    count = chance.randrange(2, 12)
    lines = [*remarks(chance), "TAP version 13", f"1..{count}"]
    for number in range(1, count):
        lines += remarks(chance)
        if not known and chance.random() < 0.2:
            lines += nested(chance, number)
        else:
            lines.append(result(chance, number, known=known))
    return [*lines, *remarks(chance), f"ok {count} {name(chance)}", *remarks(chance)]


def outcome(lines: list[str] | str, status: int, *known: Known) -> Outcome:
    text = lines if isinstance(lines, str) else "".join(f"{line}\n" for line in lines)
    parsed = ktap.parse(text, foreign=True)
    return kselftest.judge(parsed, "cow", FLOOR, status, 1.0, known).outcome


def results_of(lines: list[str]) -> list[int]:
    return [i for i, line in enumerate(lines) if line.lstrip().startswith(("ok ", "not ok "))]


def removed(chance: random.Random, lines: list[str]) -> list[str]:
    gone = set(chance.sample(results_of(lines), k=chance.randrange(1, len(results_of(lines)) + 1)))
    return [line for i, line in enumerate(lines) if i not in gone]


def renumbered(chance: random.Random, lines: list[str]) -> list[str]:
    at = chance.choice(results_of(lines))
    head, _, rest = lines[at].partition("ok ")
    old, _, tail = rest.partition(" ")
    new = chance.choice([n for n in (0, 1, 2, int(old) + 1, 77, 10**10) if n != int(old)])
    return [*lines[:at], f"{head}ok {new} {tail}", *lines[at + 1 :]]


def swapped(chance: random.Random, lines: list[str]) -> list[str]:
    own = [i for i in results_of(lines) if not lines[i].startswith((" ", "\t"))]
    first, second = sorted(chance.sample(own, k=2))
    lines = [*lines]
    lines[first], lines[second] = lines[second], lines[first]
    return lines


def twice(chance: random.Random, lines: list[str]) -> list[str]:
    at = chance.choice(results_of(lines))
    return [*lines[: at + 1], *lines[at:]]


def glued(chance: random.Random, lines: list[str]) -> list[str]:
    """The kernel's or a child's text, without a newline, before a result."""
    at = chance.choice(results_of(lines))
    text = chance.choice([STAMP + "foo", "prose", "# remark", "x" * 5000, "foo: "])
    return [*lines[:at], text + lines[at].lstrip(), *lines[at + 1 :]]


def torn(chance: random.Random, lines: list[str]) -> str:
    """Cut in the middle of a line, up to the end of the last result."""
    text = "".join(f"{line}\n" for line in lines[: results_of(lines)[-1] + 1])
    return text[: chance.randrange(text.index("1..") + 4, len(text))]


def interrupted(chance: random.Random, lines: list[str]) -> list[str]:
    """A line of the kernel in the middle of a result, up to its number."""
    at = chance.choice(results_of(lines))
    line = lines[at]
    end = line.index("ok ") + 3
    cut = chance.randrange(len(line) - len(line.lstrip()) + 1, end)
    return [*lines[:at], line[:cut] + STAMP + "mm: foo", line[cut:], *lines[at + 1 :]]


def failed(chance: random.Random, lines: list[str]) -> list[str]:
    """One result is not ok, and looks as terminals, consoles and other programs make it."""
    at = chance.choice([i for i in results_of(lines) if "#" not in lines[i]])
    head, ok, rest = lines[at].partition("ok ")
    looks = ("\x1b[31m{}\x1b[0m", "\t{}", "\0{}", "50 %\r{}", "{}\r", "{} # todo x", STAMP + "a{}")
    lost = chance.choice(looks).format(f"not {ok}{rest}")
    return [*lines[:at], head.removesuffix("not ") + lost, *lines[at + 1 :]]


DAMAGES: tuple[Callable[[random.Random, list[str]], list[str] | str], ...] = (
    *(removed, renumbered, swapped, twice, glued, torn, interrupted, failed),
)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_report_is_never_pass(
    damage: Callable[[random.Random, list[str]], list[str] | str],
) -> None:
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        lines = report(chance)
        assert outcome(lines, 0) is Outcome.PASS, f"seed {seed}: {lines}"
        damaged = damage(chance, lines)
        assert outcome(damaged, 0) is not Outcome.PASS, f"seed {seed}: {damaged}"


@pytest.mark.parametrize("damage", DAMAGES[:-1], ids=lambda damage: damage.__name__)
def test_a_known_failure_does_not_excuse_the_damage(
    damage: Callable[[random.Random, list[str]], list[str] | str],
) -> None:
    known = Known(case="cow", result="known", why="a reason")
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        lines = report(chance, known=True)
        status = int(any(line.endswith(" known") for line in lines))
        assert outcome(lines, status, known) is Outcome.PASS, f"seed {seed}: {lines}"
        damaged = damage(chance, lines)
        assert outcome(damaged, status, known) is not Outcome.PASS, f"seed {seed}: {damaged}"
        assert outcome(lines, 77, known) is Outcome.FAIL, f"seed {seed}: {lines}"


OWN_FLOORS = (Floor(counter="writes", at_least=10), Floor(counter="raced", at_least=1))


def own_outcome(text: str) -> Outcome:
    return rules.judge(ktap.parse(text), "a", OWN_FLOORS, 0, 1.0).outcome


def own_report(chance: random.Random) -> list[str]:
    counters = [f"# counter {name} {chance.randrange(10, 1000)}" for name in ("writes", "raced")]
    lines = [*counters, *chance.choices(["# remark", STAMP + "mm: foo", "# counter x 3"][:2], k=2)]
    chance.shuffle(lines)
    return ["KTAP version 1", "1..1", *lines, "ok 1 a"]


def test_a_damaged_report_of_the_rigs_own_is_never_pass() -> None:
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        lines = own_report(chance)
        text = "".join(f"{line}\n" for line in lines)
        assert own_outcome(text) is Outcome.PASS
        needed = [i for i, line in enumerate(lines) if line.startswith(("K", "1..", "# c", "ok"))]
        at = chance.choice(needed)
        wrong = [
            text[: chance.randrange(len(text))],
            text.replace(f"{lines[at]}\n", ""),
            text.replace(f"{lines[at]}\n", f"{lines[at]}\n" * 2),
            text.replace(lines[at], f"\x1b[32m{lines[at]}"),
            text.replace(lines[at], f"\t{lines[at]}"),
            text.replace(lines[at], f"{STAMP}foo{lines[at]}"),
            text.replace("ok 1 a", f"ok {chance.choice([0, 2, 10**10])} a"),
            text.replace("ok 1 a", f"ok 1 a # {chance.choice(['skip x', 'Skipped: x', 'SKIP'])}"),
            text.replace("ok 1 a", "not ok 1 a"),
            "".join(f"{STAMP}{line}\n" for line in lines),
        ]
        for damaged in wrong:
            assert own_outcome(damaged) is not Outcome.PASS, f"seed {seed}: {damaged!r}"


def test_no_input_makes_a_parser_raise() -> None:
    pieces = ("ok", "not ", " 1", "\n", "1..", "2", "\t", "  ", "# ", "Subtest: s", "\x1b[3", "m")
    more = (
        "KTAP version 1\n",
        "Bail out!",
        STAMP,
        "\r",
        "\0",
        " # SKIP",
        "counter x 1",
        "Totals: ",
    )
    for seed in range(5 * ROUNDS):
        chance = random.Random(seed)
        text = "".join(chance.choices(pieces + more, k=chance.randrange(60)))
        for foreign in (False, True):
            report = ktap.parse(text, foreign=foreign)
            kselftest.judge(report, "cow", FLOOR, chance.choice([0, 1, 4, 139]), 1.0, ())
            rules.judge(report, "a", OWN_FLOORS, 0, 1.0)
