# SPDX-License-Identifier: GPL-2.0-only
"""`rig nightly`: its status, --check, and what install writes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rig.__main__ import main
from rig.campaigns import gc
from rig.cli import timer
from tests.unit.campaigns.fake_runs import Fakes
from tests.unit.conftest import Program

Rig = Callable[..., tuple[int, str, str]]
FILE = 'bases = ["v6.12"]\nstart = "23:05"\n[[matrix]]\nsuites = ["stale_tlb"]\n'


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fakes:
    monkeypatch.setenv("RIG_STORE", str(tmp_path / "store"))
    made = Fakes()
    made.install(monkeypatch.setattr)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "my night.toml").write_text(FILE)
    return tmp_path / "my night.toml"


@pytest.fixture
def rig(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Rig:
    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["rig", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


def test_a_night_and_the_next_one(rig: Rig, fakes: Fakes, path: Path) -> None:
    path.write_text(FILE + '[mail]\nfile = "digest.txt"\n')
    status, out, _ = rig("nightly", path)
    assert status == 0 and out.count("\n") == 1 and "nothing changed; 1 run, " in out
    assert (path.parent / "digest.txt").read_text() == out
    fakes.fails = lambda case, spec: case == "stale_tlb/anon_lost_write"
    status, out, _ = rig("nightly", path)
    assert status == 1 and "\nnew failure\n  stale_tlb/anon_lost_write: v6.12, " in out
    again = rig("report", "--junit", path.parent / "night.xml")
    digest = out.partition("\n")[2]  # without the time that it took
    assert again[0] == 1 and f"{digest}\nv6.12: FAIL" in again[1], "as it was"
    assert "<testcase" in (path.parent / "night.xml").read_text()
    assert rig("nightly", path)[0] == 0, "it fails as before"


def test_a_digest_that_is_not_delivered_is_broken(rig: Rig, fakes: Fakes, path: Path) -> None:
    path.write_text(FILE + '[mail]\nfile = "no/digest.txt"\n')
    status, out, err = rig("nightly", path)
    assert status == 3 and "nothing changed" in out and "cannot be written" in err
    path.write_text(FILE)
    assert rig("nightly", path)[0] == 0 and len(fakes.ran) == 1


def test_the_store_is_cleaned_after_a_night_that_says_so(
    rig: Rig, fakes: Fakes, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[dict[str, float]] = []
    monkeypatch.setattr(gc, "collect", lambda context, **given: limits.append(given))
    assert rig("nightly", path)[0] == 0 and limits == []
    path.write_text(FILE + "[gc]\nmax_size = 40\n")
    assert rig("nightly", "--check", path)[0] == 0 and limits == []
    assert rig("nightly", path)[0] == 0 and limits == [{"days": 30.0, "gib": 40.0}]


def test_the_site_is_written_after_a_night_that_says_so(rig: Rig, fakes: Fakes, path: Path) -> None:
    path.write_text(f'site = "pages"\n{FILE}')
    assert rig("nightly", "--check", path)[0] == 0 and not (path.parent / "pages").exists()
    assert rig("nightly", path)[0] == 0
    assert "v6.12" in (path.parent / "pages" / "index.html").read_text()


def test_check_says_what_would_run_and_how_long(rig: Rig, fakes: Fakes, path: Path) -> None:
    status, out, _ = rig("nightly", "--check", path)
    assert (status, fakes.ran) == (0, [])
    assert "my-night: 0 runs" in out and "v6.12 is not in the store yet" in out
    rig("nightly", path)
    # Where the store has the base.
    path.write_text(FILE.replace("v6.12", "mm"))
    fakes.ran.clear()
    status, out, _ = rig("nightly", "--check", path)
    assert (status, fakes.ran) == (0, [])


@pytest.mark.parametrize("words", [["a", "b"], ["install", "a", "b"], ["none.toml"]])
def test_bad_input(rig: Rig, fakes: Fakes, words: list[str]) -> None:
    assert rig("nightly", *words)[0] == 2


# Every night


def test_a_systemd_timer(
    rig: Rig,
    path: Path,
    fakes: Fakes,
    tmp_path: Path,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(timer, "BOOTED", tmp_path)
    program(
        "systemctl", f'echo "$@" >>{tmp_path}/calls; case "$*" in *reload*) exit 0;; esac; exit 1'
    )
    status, out, _ = rig("nightly", "install", "--bisect", path)
    home = tmp_path / "config" / "systemd" / "user"
    written = {entry.name: entry.read_text() for entry in home.iterdir()}
    assert set(written) == {"rig-nightly-my-night.service", "rig-nightly-my-night.timer"}
    assert "OnCalendar=*-*-* 23:05:00\n" in written["rig-nightly-my-night.timer"]
    service = written["rig-nightly-my-night.service"]
    assert f'"-m" "rig" "nightly" "--quiet" "--bisect" "{path}"\n' in service
    assert f'"RIG_STORE={tmp_path}/store"' in service
    assert all(f"wrote {entry}" in out for entry in home.iterdir())
    assert "ran   systemctl --user daemon-reload" in out
    assert "failed   systemctl --user enable --now rig-nightly-my-night.timer" in out
    assert status == 0 and (tmp_path / "calls").read_text().count("\n") == 2


def test_systemd_reads_words_as_they_are() -> None:
    assert timer._quoted('a "b" 50% $X \\') == '"a \\"b\\" 50%% $$X \\\\"'


def test_a_crontab_line_is_added_once(
    rig: Rig, path: Path, fakes: Fakes, tmp_path: Path, program: Program
) -> None:
    table = tmp_path / "table"
    table.write_text("0 1 * * * backup\n")
    program("crontab", f'if [ "$1" = -l ]; then cat {table}; else cat >{table}; fi')
    status, out, _ = rig("nightly", "install", "--cron", path)
    first = table.read_text().splitlines()
    assert status == 0 and "added this line" in out and first[1] in out
    assert first[0] == "0 1 * * * backup" and first[1].startswith("5 23 * * * env PATH=")
    assert f"nightly --quiet '{path}' # rig nightly my-night" in first[1]
    path.write_text(FILE.replace("23:05", "04:30"))
    assert "replaced" in rig("nightly", "install", "--cron", path)[1]
    second = table.read_text().splitlines()
    assert len(second) == 2 and second[1].startswith("30 4 * * * ")


def test_a_host_without_both(
    rig: Rig, path: Path, fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timer, "BOOTED", tmp_path / "none")
    monkeypatch.setattr(timer.proc, "which", lambda program: None)
    status, _, err = rig("nightly", "install", path)
    assert status == 2 and "neither systemd nor cron" in err and "23:05" in err
