# SPDX-License-Identifier: GPL-2.0-only
"""The file of a night: each mistake has its line, its key, and the nearest names."""

from pathlib import Path

import pytest

from rig.campaigns import nightfile
from rig.errors import ConfigError
from rig.shelves import Shelves
from tests.unit.conftest import TOP

EXAMPLE = TOP / "docs" / "nightly.toml"


def load(path: Path, text: str) -> nightfile.NightFile:
    path.write_text(text)
    return nightfile.load(path, Shelves.default())


def test_the_example_is_a_night_and_has_every_key(tmp_path: Path) -> None:
    file = nightfile.load(EXAMPLE, Shelves.default())
    assert (file.name, file.seconds, file.asked) == ("mm", 6 * 3600, {"cpus": 4})
    assert file.git[0].path == Path.home() / "linux"
    text = EXAMPLE.read_text()
    tables = [nightfile.NightFile, *nightfile.TABLES.values()]
    keys = {info.alias or name for table in tables for name, info in table.model_fields.items()}
    assert [key for key in keys if f"{key} =" not in text and f"[{key}]" not in text] == []
    assert all(key in text for key in nightfile.OPTION_KEYS)


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    file = load(tmp_path / "small night.toml", 'bases = ["v6.12"]')
    assert (file.name, file.seconds, file.start) == ("small-night", 8 * 3600, "22:00")
    (matrix,) = file.matrix
    assert (matrix.arch, matrix.schedules, matrix.suites) == (("x86_64",), ("live",), ())


def test_paths_are_from_the_directory_of_the_file(tmp_path: Path) -> None:
    file = load(
        tmp_path / "n.toml",
        '[[git]]\npath = "../linux"\nbranches = ["m"]\n[mail]\nfile = "~/d"\nmaildir = "m"',
    )
    assert file.git[0].path == tmp_path / "../linux"
    assert (file.mail.file, file.mail.maildir) == (Path.home() / "d", tmp_path / "m")


@pytest.mark.parametrize(
    ("old", "new", "place", "said", "hint"),
    [
        ('schedules = ["live", "seeded"]', 'shedules = ["live"]', "matrix.shedules",
         "there is no key named 'shedules'", "schedules"),
        ('"arm64"]\nflavours', '"arm46"]\nflavours', "matrix.arch",
         "no architecture named 'arm46'", "arm64"),
        ('["debug"]', '["dbug"]', "matrix.flavours", "no flavour named 'dbug'", "debug"),
        ('"madv_free"]', '"madv_fre"]', "matrix.suites", "no suite named 'madv_fre'", "madv_free"),
        ('["classic", "mglru"]', '["classic", "mgrlu"]', "matrix.lru",
         "no value named 'mgrlu'", "mglru"),
        ('"shared_dirty_reclaim"]', '"shared_dirty"]', "bench.names",
         "no benchmark named 'shared_dirty'", "shared_dirty_reclaim"),
        ('["all"]', '["batch-dirty-tlb-flsh"]', "shelf.series",
         "no series named 'batch-dirty-tlb-flsh'", "batch-dirty-tlb-flush"),
        ("seeds = 4", "seeds = 0", "matrix.seeds", "greater than or equal to 1", ""),
        ("cpus = 4", "cpus = 40", "options.cpus", "out of range", "2 to 8"),
        ("cpus = 4", "cpus = true", "options.cpus", "True is not a number", ""),
        ("cpus = 4", "blame = true", "options.blame", "no option named 'blame'", "cpus"),
        ('"6h"', '"six hours"', "budget", "is no time", "90m"),
        ('"22:00"', '"25:00"', "start", "is no time of day", "22:00"),
        ('name = "mm"', 'name = "m m"', "name", "letters", ""),
        ('path = "~/linux"\n', "\n", "git", "the key 'path' is missing", ""),
        ("[bench]", "[bnech]", "bnech", "no key named 'bnech'", "bench"),
        ("# sendmail =", "sendmail =", "mail.sendmail", "sendmail needs `to`", ""),
    ],
)  # fmt: skip
def test_a_mistake_has_its_line_and_its_key(
    tmp_path: Path, old: str, new: str, place: str, said: str, hint: str
) -> None:
    text = EXAMPLE.read_text()
    assert old in text
    changed = text.replace(old, new, 1)
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "n.toml", changed)
    head, _, message = raised.value.message.partition(f": {place}: ")
    assert said in message and hint in raised.value.hint
    line = int(head.rpartition(":")[2])
    # A key that is missing has no line: that is the line of its table.
    before = text[: text.index(old)].count("\n") + ("missing" not in said)
    assert before <= line <= before + new.count("\n")


def test_a_value_of_an_array_over_several_lines_has_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"n\.toml:5: matrix\.suites: .*'reclam'"):
        load(
            tmp_path / "n.toml",
            'bases = ["v6.12"]\n[[matrix]]\nsuites = [\n  "stale_tlb",  # "x"\n  "reclam",\n]\n',
        )


@pytest.mark.parametrize("text", ["bases = [", "\udcff", "", "[[git]]\npath = 'x'\n"])
def test_what_is_no_night_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "n.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=str(path)):
        nightfile.load(path, Shelves.default())


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        nightfile.load(tmp_path / "n.toml", Shelves.default())
    with pytest.raises(ConfigError, match="Is a directory"):
        nightfile.load(tmp_path, Shelves.default())
