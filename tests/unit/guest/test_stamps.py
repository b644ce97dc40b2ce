# SPDX-License-Identifier: GPL-2.0-only
"""The same bytes give the same splats, in whatever portions they come, and the work is linear."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.guest import console, stamps
from rig.guest.console import ConsoleScanner, Splat, SplatKind

STAMP = "[    1.000000] "
BUG = f"{STAMP}kernel BUG at mm/rmap.c:7!\n"
DATA = Path(__file__).parents[2] / "data" / "console"


def scan(data: bytes, sizes: Iterator[int]) -> tuple[Splat, ...]:
    scanner = ConsoleScanner()
    splats: tuple[Splat, ...] = ()
    at = 0
    while at < len(data):
        size = next(sizes)
        splats += scanner.feed(data[at : at + size])
        at += size
    return splats + scanner.close()


def portions(chance: random.Random, most: int) -> Iterator[int]:
    while True:
        yield chance.choice((1, 2, 7, chance.randint(1, most)))


@pytest.mark.parametrize("lead", ["x" * 5000, "x" * (1 << 20), "x" * (stamps.LINE_MAX - 8)])
@pytest.mark.parametrize("before", ["", STAMP + "a line\n", STAMP])
def test_a_headline_behind_a_line_without_end(lead: str, before: str) -> None:
    (splat,) = console.scan(before + lead + BUG)
    assert (splat.title, splat.at) == ("kernel BUG at mm/rmap.c:7!", 1.0)


@pytest.mark.parametrize(
    "stamp",
    [
        *("[    1.000000]  ", "[    1.000000]\t", "[    1.000000] \t", "[    1.000000]   "),
        *("[    1.000] ", "[1.000000] ", "[    1.000000000] ", "[    1.000000][    C1] "),
        *("[    1.000000][   T12]\t", "<4>[    1.000000] "),
    ],
)
def test_stamps(stamp: str) -> None:
    text = BUG.replace(STAMP, stamp) + f"{stamp}---[ end trace 0000000000000000 ]---\n{stamp}more\n"
    (splat,) = console.scan(STAMP + "before\n" + text)
    assert (splat.title, splat.at) == ("kernel BUG at mm/rmap.c:7!", 1.0)
    assert len(splat.text) == 2


def test_a_three_digit_number_before_the_point() -> None:
    (splat,) = console.scan(BUG.replace("    1.", "  123."))
    assert splat.at == 123.0


@pytest.mark.parametrize("at", range(stamps.LINE_MAX - 40, stamps.LINE_MAX + 3))
def test_a_stamp_at_the_end_of_a_piece_is_not_cut(at: int) -> None:
    for first in ("", STAMP):
        (splat,) = console.scan(STAMP + "before\n" + first + "x" * (at - len(first)) + BUG)
        assert splat.title == "kernel BUG at mm/rmap.c:7!"


def test_a_message_that_quotes_a_stamp_is_one_message() -> None:
    later = "[    2.000000] "
    for quoting in (
        *(
            f"foo: Unknown parameter '{STAMP}",
            f'foo: bad value "x {later}',
            f"Command line: {STAMP}",
        ),
        *(f"prog[1]: {later}", f"mytest: {later}", "cut off [    0.100000] "),
    ):
        assert console.scan(f"{STAMP}{quoting}kernel BUG at x!'\n") == ()
        # Nor where the quote began thousands of bytes before.
        assert console.scan(f"{STAMP}foo{'x' * 9000} {quoting}kernel BUG at x!'\n") == ()
    for torn in ("some", "don't", "it is 'quoted' and "):
        assert len(console.scan(f"{STAMP}{torn}{later}kernel BUG at x!\n")) == 1


PIECES = (
    *(BUG, STAMP, STAMP + "hello\n", "user text\n", "user ", "\n", "\r\n", "x" * 700, "y" * 5000),
    *("\x1b[31m", "\x1b]0;title\x07", "\x1b", "\x07", "\x00", "ü", "\udcff", "'", "[", "[    1.0"),
    *("[    2.000000][   T12] BUG: a\n", "[    2.000000][    C1] Call Trace:\n", "[    9.000000] "),
    *("[    2.000000][    C1] rcu: INFO: rcu_preempt self-detected stall on CPU\n", "\t", "  "),
    *(STAMP + "------------[ cut here ]------------\n", STAMP + "=" * 30 + "\n"),
    *(STAMP + "WARNING: CPU: 1 PID: 2 at a+0x1/0x2\n", STAMP + "---[ end trace 0 ]---\n"),
    *(STAMP + "I/O error, dev vda, sector 1\n", STAMP + "BUG: KASAN: x\n", "[   50.000000] z\n"),
    *("kernel BUG at user!\n", STAMP + " foo+0x1/0x2\n", STAMP + "Kernel panic - not syncing: x\n"),
)


@pytest.mark.parametrize("seed", range(200))
def test_portions_do_not_matter(seed: int) -> None:
    chance = random.Random(seed)
    chosen = chance.choices(PIECES, k=chance.randint(1, 60))
    data = "".join(chosen).encode(errors="surrogateescape")
    whole = scan(data, iter([len(data)]))
    for most in (3, 100, 5000):
        assert scan(data, portions(chance, most)) == whole
    assert scan(data, iter([1] * len(data))) == whole


@pytest.mark.parametrize("path", sorted(DATA.rglob("*.log")), ids=lambda path: path.stem)
def test_a_file_has_what_the_running_guest_had(path: Path) -> None:
    data = path.read_bytes()
    assert console.scan_file(path) == scan(data, portions(random.Random(1), 300))


FLOODS = {
    "warnings": f"{STAMP}WARNING: CPU: 1 PID: 2 at a+0x1/0x2\n{STAMP}---[ end trace 0 ]---\n",
    "errors": f"{STAMP}I/O error, dev vda, sector 1\n",
    "callers": "".join(f"[    1.000000][{f'T{i}':>6}] BUG: Bad page state x\n" for i in range(500)),
    "no newline": "x" * 70,
    "stamps": STAMP + "x",
    "escapes": f"\x1b[31mx\x1b[0m{STAMP}y\n",
    "one report": f"{STAMP}a line\n",
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_what_is_kept_of_a_flood_has_a_limit(flood: str) -> None:
    """The number of splats, open reports and bytes kept is the same for ten times the input."""
    text = BUG + flood * (2_000_000 // len(flood))
    scanner = ConsoleScanner()
    splats: list[Splat] = []
    for part in stamps.parts(text):
        splats += scanner.feed(part)
        assert len(scanner._tracks) <= 64
        assert len(scanner._lines._rest) <= stamps.LINE_MAX
        assert sum(len(splat.text) for splat in scanner.pending) < 50_000
    splats += scanner.close()
    assert len(splats) <= 2200


def test_splats_beyond_the_limit_are_counted() -> None:
    text = FLOODS["errors"] * (console.SPLATS_MAX + 5) + BUG
    splats = console.scan(text)
    assert [splat.kind.value for splat in splats[-2:]] == ["bug", "io_error"]
    assert splats[-1].title == "5 more splats of the kind io_error"
    assert len(splats) == console.SPLATS_MAX + 2


def test_the_work_for_many_open_reports_is_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """2.5 MB took 309 s: each line of a new caller asked every open report for its kind."""
    asked = 0

    def counted(kind: SplatKind) -> bool:
        nonlocal asked
        asked += 1
        return kind in (SplatKind.RCU_STALL, SplatKind.HARD_LOCKUP)

    monkeypatch.setattr(SplatKind, "across_cpus", property(counted))
    lines = [f"[    1.000000][{f'T{i}':>6}] BUG: Bad page state x\n" for i in range(900)]
    other = [f"[    1.000000][{f'T{i}':>6}] line\n" for i in range(900, 5000)]
    assert len(console.scan("".join(lines + other))) == 900
    assert asked <= 2 * len(lines + other)
