# SPDX-License-Identifier: GPL-2.0-only
"""Walks that stay in a tree and walks that do not, and a real kernel's answer to each."""

import errno
import os
from pathlib import Path

import pytest

from rig.kernel import symlinks

OUT, ENDLESS = "leads out of the tree", "never ends"
CHAIN = {f"l{n}": f"l{n + 1}" for n in range(symlinks.MOST + 2)}

# Links; the one that is walked; what is the trouble with it.
WALKS: dict[str, tuple[dict[str, str], str, str]] = {
    "a file beside it": ({"mm/l": "rmap.c"}, "mm/l", ""),
    "a file above it": ({"tools/include/x.h": "../../include/x.h"}, "tools/include/x.h", ""),
    "the root": ({"mm/l": ".."}, "mm/l", ""),
    "dots and slashes": ({"mm/l": ".//./../mm//rmap.c"}, "mm/l", ""),
    "a name that begins with dots": ({"l": "..x/...y"}, "l", ""),
    "down and up": ({"mm/l": "../mm/../mm/rmap.c"}, "mm/l", ""),
    "through a link": ({"d/l": "../mm", "k": "d/l/rmap.c"}, "k", ""),
    "nothing that is there": ({"l": "gone"}, "l", ""),
    "as many as the kernel follows": (CHAIN, "l2", ""),
    "absolute": ({"mm/l": "/etc/passwd"}, "mm/l", OUT),
    "absolute and nothing else": ({"l": "/"}, "l", OUT),
    "one too many": ({"mm/l": "../.."}, "mm/l", OUT),
    "at the root": ({"l": ".."}, "l", OUT),
    "out and in again": ({"mm/l": "../../tree/mm"}, "mm/l", OUT),
    "up after a link to the root": ({"d/l": "..", "k": "d/l/.."}, "k", OUT),
    "up after a link deeper down": ({"d/l": "e/f", "d/k": "l/../../../.."}, "d/k", OUT),
    "a directory that is a link": ({"a/b": "..", "a/c": "b/../x"}, "a/c", OUT),
    "through one that is absolute": ({"a": "/usr", "b": "a/lib"}, "b", OUT),
    "itself": ({"l": "l"}, "l", ENDLESS),
    "each other": ({"a": "b", "b": "a"}, "a", ENDLESS),
    "itself, further down": ({"l": "l/x"}, "l", ENDLESS),
    "more than the kernel follows": (CHAIN, "l1", ENDLESS),
    "ever more": ({"a": "b/b", "b": "c/c", "c": "a/a"}, "a", ENDLESS),
    "git's own": ({"l": ".git"}, "l", "leads to git's own files"),
    "in git's own": ({"mm/l": "../.GIT/config"}, "mm/l", "leads to git's own files"),
    "empty": ({"l": ""}, "l", "has a target that no symlink can have"),
    "long": ({"l": "é" * 2048}, "l", "has a target that no symlink can have"),
    "a line end": ({"l": "mm\nx"}, "l", "has control characters in its target"),
    "cut short by symlink(2)": ({"l": "mm/..\0x"}, "l", "has control characters in its target"),
    "no UTF-8": ({"l": "\udcff"}, "l", "has control characters in its target"),
}


@pytest.mark.parametrize("name", WALKS)
def test_walks(name: str) -> None:
    links, path, trouble = WALKS[name]
    assert symlinks.walk(links, path).trouble == trouble


@pytest.mark.parametrize("name", [name for name in WALKS if WALKS[name][2] in ("", OUT, ENDLESS)])
def test_the_kernel_walks_so(tmp_path: Path, name: str) -> None:
    """What it takes for the end is inside the tree, or outside, or ELOOP."""
    links, path, trouble = WALKS[name]
    top = tmp_path / "tree"
    (tmp_path / "x").mkdir()
    for inside in ("mm/rmap.c", "include/x.h", "a", "d/e/f", "tools/include", "x"):
        (top / inside).mkdir(parents=True, exist_ok=True)
    for link, target in links.items():
        place = top / link
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir():
            place.rmdir()
        place.symlink_to(target)
    try:
        file = os.open(top / path, os.O_PATH)
    except OSError as error:
        assert error.errno == (errno.ELOOP if trouble == ENDLESS else errno.ENOENT)
        assert trouble in ("", ENDLESS)
    else:
        ends = Path(f"/proc/self/fd/{file}").readlink()
        os.close(file)
        # One that leaves and comes back has been outside.
        assert ends.is_relative_to(top) == (not trouble or name == "out and in again")


OLD = {"d/e/deep": "../../mm", "a": "/usr", "d/l": ".."}


@pytest.mark.parametrize(
    ("after", "astray"),
    [
        (OLD, []),
        ({**OLD, "new": "mm"}, []),
        ({"d/l": ".."}, []),
        ({**OLD, "deep": "../../mm"}, ["deep"]),
        ({**OLD, "d/e/deep": "../../../mm"}, ["d/e/deep"]),
        ({**OLD, "k": "d/l/.."}, ["k"]),
        ({**OLD, "b": "a"}, ["b"]),
        ({**OLD, "a": "/lib"}, ["a"]),
        ({"d/e/deep": "../../mm", "d/l": "..", "d/a": "/usr"}, ["d/a"]),
        ({**OLD, "d/e/deep": "../l/../mm"}, ["d/e/deep"]),
    ],
    ids=[
        *("as before", "a good one more", "some less", "renamed outwards", "changed"),
        *("through a base's", "to a base's bad one", "a bad one changed", "a bad one renamed"),
        "up after the base's link to the root",
    ],
)
def test_the_bases_own_links_are_its_own_business(after: dict[str, str], astray: list[str]) -> None:
    assert [path for path, _ in symlinks.gone_astray(OLD, after)] == astray


def test_a_link_that_is_led_astray_by_another() -> None:
    """It is as it was, and a directory on its way is a link now."""
    before = {"x/l": "../d/../mm"}
    assert not list(symlinks.gone_astray({}, before))
    ((path, walk),) = symlinks.gone_astray(before, {**before, "d": "."})
    assert (path, walk.trouble) == ("x/l", OUT)
    assert walk.followed == (("x/l", "../d/../mm"), ("d", "."))


def test_a_walk_has_an_end() -> None:
    """40 links with 2,000 names each took 0.1 s, and a mail has room for 300,000 of them."""
    step = "/".join(["a"] * 400 + [".."] * 400)
    chain = {f"l{number}": f"{step}/l{number + 1}" for number in range(10)}
    assert symlinks.walk(chain, "l9").trouble == ""
    assert symlinks.walk(chain, "l0").trouble == ENDLESS
