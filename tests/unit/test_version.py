# SPDX-License-Identifier: GPL-2.0-only
import itertools

import pytest

from rig.errors import ConfigError
from rig.version import KernelVersion, VersionRange

parse = KernelVersion.parse


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v6.12", KernelVersion(major=6, minor=12)),
        ("6.12", KernelVersion(major=6, minor=12)),
        ("6.12.0", KernelVersion(major=6, minor=12)),
        ("6.12.117", KernelVersion(major=6, minor=12, patch=117)),
        ("7.3-rc7", KernelVersion(major=7, minor=3, rc=7)),
        ("7.3.0-rc7", KernelVersion(major=7, minor=3, rc=7)),
        ("7.3~rc7-1~exp1", KernelVersion(major=7, minor=3, rc=7, extra="-1~exp1")),
        ("6.12.117-rig+", KernelVersion(major=6, minor=12, patch=117, extra="-rig+")),
        ("6.12+", KernelVersion(major=6, minor=12, extra="+")),
        (
            "7.0.0-rc1-00012-g0123abc",
            KernelVersion(major=7, minor=0, rc=1, extra="-00012-g0123abc"),
        ),
        ("6.12.117-1~deb12u1", KernelVersion(major=6, minor=12, patch=117, extra="-1~deb12u1")),
    ],
)
def test_what_tags_uname_and_debian_say(text: str, version: KernelVersion) -> None:
    assert parse(text) == version


@pytest.mark.parametrize(
    "text", ["", "6", "v6", "linux-6.12", "6.12 ", "6..12", "v6.x", "6.12rc1", "6.12\n", "-6.12"]
)
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a kernel version"):
        parse(text)


ORDER = ["6.6.99", "6.12-rc1", "6.12-rc9", "6.12-rc10", "6.12", "6.12+", "6.12.9", "6.12.117"]
ORDER += ["6.12.117-rig+", "6.13-rc1", "7.0", "10.0"]


def test_order_is_of_numbers_and_rc_comes_before_the_release() -> None:
    versions = [parse(text) for text in ORDER]
    assert sorted(versions) == versions
    for low, high in itertools.combinations(versions, 2):
        assert low < high
        assert low <= high
        assert high > low
        assert high >= low
        assert not high < low
        assert not high <= low
        assert not low > high
        assert not low >= high
    assert parse("6.12") <= parse("v6.12.0")
    assert parse("6.12") >= parse("v6.12.0")


@pytest.mark.parametrize("text", [*ORDER, "6.12.117-1~deb12u1", "7.3-rc7-00012-gabc"])
def test_text_survives(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "base", "tag"),
    [
        ("6.12", "v6.12", "v6.12"),
        ("6.12.117-rig+", "v6.12", "v6.12.117"),
        ("7.3~rc7-1", "v7.3", "v7.3-rc7"),
    ],
)
def test_base_and_tag(text: str, base: str, tag: str) -> None:
    assert parse(text).base == base
    assert parse(text).tag == tag


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=v6.16", ["6.16-rc1", "6.16", "6.16.3+", "7.0"], ["6.15", "6.15.99", "6.12.117"]),
        (">v6.16", ["6.17-rc1", "7.0"], ["6.16.3", "6.16-rc1", "6.15"]),
        ("<v6.16", ["6.15.99", "6.12"], ["6.16-rc1", "6.16", "7.0"]),
        ("<=v6.12", ["6.12.117-rig+", "6.12-rc1", "6.6"], ["6.13-rc1", "7.0"]),
        ("v6.12..v7.0", ["6.12-rc1", "6.12", "6.18", "7.0.3"], ["6.11.9", "7.1-rc1"]),
        ("v6.12", ["6.12", "6.12.117", "6.12-rc3"], ["6.11", "6.13"]),
        (">=v6.12.30", ["6.12.30", "6.12.30-rig+", "6.12.31", "6.13"], ["6.12.29", "6.12"]),
        ("<v6.12.30", ["6.12.29", "6.12", "6.12-rc1"], ["6.12.30", "6.12.30+", "6.13-rc1"]),
        ("v6.16-rc3..v6.16-rc5", ["6.16-rc3", "6.16-rc5+"], ["6.16-rc2", "6.16-rc6", "6.16"]),
        (" >= v6.16 ", ["6.16"], ["6.15"]),
    ],
)
def test_a_base_in_a_range_means_all_of_it(
    text: str, inside: list[str], outside: list[str]
) -> None:
    versions = VersionRange.parse(text)
    assert [v for v in inside if parse(v) not in versions] == []
    assert [v for v in outside if parse(v) in versions] == []


@pytest.mark.parametrize(
    "text", ["", "v6.12..", "..v6.12", "=>v6.12", "v6.12...v7.0", ">=", "v6.12, v7.0", "==v6.12"]
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ConfigError):
        VersionRange.parse(text)


def test_a_range_upside_down_is_an_error_and_says_how() -> None:
    with pytest.raises(ConfigError, match="empty") as caught:
        VersionRange.parse("v7.0..v6.12")
    assert "v6.12..v7.0" in caught.value.hint


@pytest.mark.parametrize(
    "text", [">=v6.16", ">v6.16", "<v6.16", "<=v6.16-rc3", "v6.12..v7.0", "v6.12"]
)
def test_a_range_prints_as_it_was_written(text: str) -> None:
    assert str(VersionRange.parse(text)) == text
