# SPDX-License-Identifier: GPL-2.0-only
import pytest

from rig import errors
from rig.errors import RigError, unknown


def test_message_hint_and_detail_are_kept_apart() -> None:
    error = errors.BuildError("mm/vmscan.c does not compile", hint="see below", detail="error: x")
    assert str(error) == error.message == "mm/vmscan.c does not compile"
    assert (error.hint, error.detail) == ("see below", "error: x")
    assert (RigError("m").hint, RigError("m").detail) == ("", "")


@pytest.mark.parametrize(
    ("error", "owner"),
    [
        (errors.ApplyError, errors.SeriesError),
        (errors.BuildError, errors.SeriesError),
        (errors.BootError, errors.KernelError),
        (errors.GuestLost, errors.KernelError),
        (errors.InfraError, errors.InfraError),
        (errors.ConfigError, errors.ConfigError),
    ],
)
def test_every_error_has_one_owner(error: type[RigError], owner: type[RigError]) -> None:
    owners = (errors.SeriesError, errors.KernelError, errors.InfraError, errors.ConfigError)
    assert [candidate for candidate in owners if issubclass(error, candidate)] == [owner]


def test_unknown_offers_the_nearest_names_first() -> None:
    error = unknown("suite", "stale_tbl", ["reclaim", "stale_tlb", "madv_free"])
    assert error.message == "there is no suite named 'stale_tbl'"
    assert error.hint == "did you mean stale_tlb?"


def test_unknown_lists_what_there_is_when_nothing_is_near() -> None:
    assert unknown("suite", "xyzzy", ["b", "a", "a"]).hint == "known: a, b"
    many = [f"name{number:02}" for number in range(20)]
    assert unknown("suite", "?", many).hint == f"known: {', '.join(many[:12])}, …"


def test_unknown_keeps_the_callers_hint_when_there_is_nothing_to_offer() -> None:
    assert (
        unknown("series", "x", [], hint="put one under patches/").hint == "put one under patches/"
    )
