# SPDX-License-Identifier: GPL-2.0-only
"""Attacks by mail: what git takes, or refuses tersely, and the rig has to name."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rig import git
from rig.errors import ApplyError, ConfigError, RigError
from rig.kernel import tree
from rig.kernel.base import Base
from rig.kernel.tree import KernelTree, TreeSpec
from rig.series import model, rfc822
from rig.series.vetting import HINT, NOT_TO_REVIEW
from rig.store import Store

KERNEL = Path(__file__).parents[2] / "data" / "kernel"
Apply = Callable[..., KernelTree]


def blob(line: str) -> str:
    data = f"{line}\n".encode()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def diff(path: str, old: str = "one", new: str = "other", header: str = "") -> str:
    """Of a file with one line, by the name that its header may have instead."""
    text = f"diff --git a/{header or path} b/{header or path}\n"
    text += f"index {blob(old)}..{blob(new)} 100644\n"
    return f"{text}--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{old}\n+{new}\n"


def fresh(path: str, text: str = "x", mode: str = "100644", end: str = "\n") -> str:
    """A file that is new, with its name as git would quote it."""
    old, new = (f'"{side}/{path}"' if "\\" in path else f"{side}/{path}" for side in "ab")
    tail = "" if end else "\\ No newline at end of file\n"
    return (
        f"diff --git {old} {new}\nnew file mode {mode}\n--- /dev/null\n+++ {new}\n"
        f"@@ -0,0 +1 @@\n+{text}\n{tail}"
    )


def link(path: str, target: str) -> str:
    return fresh(path, target, "120000", end="")


def moved(old: str, new: str, what: str = "rename") -> str:
    return (
        f"diff --git a/{old} b/{new}\nsimilarity index 100%\n{what} from {old}\n{what} to {new}\n"
    )


def gone(path: str, text: str = "one", mode: str = "100644", end: str = "\n") -> str:
    tail = "" if end else "\\ No newline at end of file\n"
    return (
        f"diff --git a/{path} b/{path}\ndeleted file mode {mode}\n"
        f"--- a/{path}\n+++ /dev/null\n@@ -1 +0,0 @@\n-{text}\n{tail}"
    )


def hunk(path: str, text: str = "evil") -> str:
    """A file that is new, in a diff of the kind that patch(1) knows."""
    return f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+{text}\n"


@pytest.fixture(scope="session")
def linked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store that has the miniature kernel with some links, and its commit."""
    store = Store(tmp_path_factory.mktemp("linked"))
    source = Path(shutil.copytree(KERNEL, tmp_path_factory.mktemp("source") / "kernel"))
    (source / "d" / "e").mkdir(parents=True)
    for path in ("a.c", "b.c", "d/f.c", "d/e/g.c", "mm/space d.c", "mm/[r].c", "ä.c"):
        (source / path).write_text("one\n")
    (source / "logo").write_bytes(b"\0\1\2" * 20)
    for path, target in {"d/l": "..", "d/e/deep": "../../mm", "away": "/usr/include"}.items():
        (source / path).symlink_to(target)
    return store.root, git.import_tree(store, source, "v6.12\n")


@pytest.fixture
def apply(store: Store, linked: tuple[Path, str]) -> Apply:
    """Patches on it, as a series."""
    root, commit = linked
    shutil.copytree(root / "linux.git", store.root / "linux.git")
    base = Base(name="v6.12", commit=commit, origin="test")

    def go(*patches: str | bytes, upto: int | None = None) -> KernelTree:
        mails = []
        for number, patch in enumerate(patches, 1):
            subject = f"Subject: [PATCH {number}/{len(patches)}] mm: number {number}"
            head = f"From: A <a@b.org>\nDate: Mon, 2 Mar 2026 09:00:00 +0100\n{subject}\n\nWhy.\n"
            body = patch if isinstance(patch, bytes) else patch.encode()
            mails.append(rfc822.FROM + head.encode() + b"---\n" + body)
        series = model.parse("s", b"".join(mails))
        return tree.materialize(store, TreeSpec(base=base, series=series, upto=upto))

    return go


def changed(store: Store, built: KernelTree) -> list[str]:
    words = (
        "diff-tree",
        "-r",
        "-z",
        "--no-renames",
        "--name-only",
        built.base.commit,
        built.commit,
    )
    return git.git(*words, cwd=git.repository(store)).stdout.split("\0")[:-1]


def refused(apply: Apply, *patches: str | bytes, says: str, number: int = 1) -> RigError:
    with pytest.raises(RigError) as bad:
        apply(*patches)
    name = f"patch {number}/{len(patches)} (mm: number {number})"
    assert bad.value.message.startswith(name)
    assert says in bad.value.message
    assert bad.value.message.isprintable()
    assert bad.value.hint
    return bad.value


# What kernel developers send


GOOD: dict[str, tuple[str, list[str]]] = {
    "a change": (diff("a.c"), ["a.c"]),
    "a name with a space": (diff("mm/space d.c"), ["mm/space d.c"]),
    "a name that is a pattern": (diff("mm/[r].c"), ["mm/[r].c"]),
    "a name in UTF-8": (diff("ä.c"), ["ä.c"]),
    "a name in quotes": (fresh(r"\303\266.c"), ["ö.c"]),
    "other prefixes": (diff("a.c").replace("a/a.c b/a", "i/a.c w/a"), ["a.c"]),
    "a mode": ("diff --git a/a.c b/a.c\nold mode 100644\nnew mode 100755\n", ["a.c"]),
    "a file that goes": (gone("a.c"), ["a.c"]),
    "a file that moves": (moved("a.c", "mm/a.c"), ["a.c", "mm/a.c"]),
    "a file that is copied": (moved("a.c", "mm/a.c", "copy"), ["mm/a.c"]),
    "a logo that is copied": (moved("logo", "mm/logo", "copy"), ["mm/logo"]),
    "a logo that moves": (moved("logo", "mm/logo"), ["logo", "mm/logo"]),
    "a link": (link("mm/up", "../d/f.c"), ["mm/up"]),
    "a link through a link": (link("k", "d/l/mm"), ["k"]),
    "a link that goes": (
        gone("d/e/deep", "../../mm", "120000", end=""),
        ["d/e/deep"],
    ),
    "another case": (fresh("A.c"), ["A.c"]),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_kernel_developers_send(store: Store, apply: Apply, name: str) -> None:
    patch, paths = GOOD[name]
    assert changed(store, apply(patch)) == sorted(paths)


def test_a_base_may_have_links_that_lead_out(store: Store, apply: Apply) -> None:
    assert changed(store, apply(link("k", "a.c"), diff("b.c"))) == ["b.c", "k"]


def test_a_patch_that_is_there_already_is_held_against_nothing(store: Store, apply: Apply) -> None:
    assert changed(store, apply(diff("a.c"), diff("a.c"), diff("b.c"))) == ["a.c", "b.c"]


# Files that nobody was told of


HIDDEN: dict[str, str] = {
    "before the first diff": hunk("evil.c") + diff("a.c"),
    "after the last": diff("a.c") + hunk("evil.c"),
    "after the signature": f"{diff('a.c')}-- \n2.39.5\n\n{hunk('evil.c')}",
    "by an Index line": f"Index: evil.c\n===\n{hunk('evil.c')}{diff('a.c')}",
    "by a line of diff -u": f"diff -u a/evil.c b/evil.c\n{hunk('evil.c')}{diff('a.c')}",
    "after a scissors line": f"{diff('a.c')}-- >8 --\nSubject: [PATCH] x\n\n---\n{hunk('evil.c')}",
    "after another --- line": f"{diff('a.c')}---\n{hunk('evil.c')}",
    "in a mail in the mail": (
        f"{diff('a.c')}\nFrom x@y Thu Jan  1 00:00:00\nFrom: A <a@b>\nSubject: [PATCH] x\n\n"
        f"---\n{hunk('evil.c')}"
    ),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_file_that_no_diff_of_the_mail_names_is_refused(apply: Apply, name: str) -> None:
    bad = refused(apply, HIDDEN[name], says="it changes evil.c, but no `diff --git` line")
    assert (type(bad), bad.hint) == (ConfigError, HINT)


def test_a_change_under_another_files_header_is_refused(apply: Apply) -> None:
    refused(apply, diff("d/f.c", header="a.c"), says="it changes d/f.c, but no")


def test_a_file_that_an_earlier_mail_names_is_hidden_in_a_later_one(apply: Apply) -> None:
    refused(apply, diff("a.c"), hunk("evil.c") + diff("b.c"), fresh("c.c"), says="evil.c", number=2)


def test_what_a_later_patch_takes_back_is_refused(apply: Apply) -> None:
    """--each-patch builds what is in between."""
    refused(apply, link("k", ".."), link("m", "mm"), says="leads out of the tree: k -> '..'")
    back = gone("k", "..", "120000", end="")
    refused(apply, link("k", ".."), back, says="k is a symlink")


def test_a_file_that_git_finds_under_another_name_is_refused(
    store: Store, apply: Apply, kernel: Path
) -> None:
    """A merge follows renames: a diff that names no file of the tree changes one that it never
    names, if only its index line has that one's blob."""
    text = (kernel / "mm" / "rmap.c").read_text()
    blob = git.git("hash-object", "--stdin", cwd=kernel, stdin=text.encode()).stdout.strip()
    first = text.splitlines()[:3]
    context = "".join(f" {line}\n" for line in first)
    bad = refused(
        apply,
        f"diff --git a/mm/tool.c b/mm/tool.c\nindex {blob}..{blob[::-1]} 100644\n"
        f"--- a/mm/tool.c\n+++ b/mm/tool.c\n@@ -1,3 +1,4 @@\n+evil\n{context}",
        says="does not apply to v6.12: mm/tool.c is not in it, and git would change",
    )
    assert isinstance(bad, ApplyError), "there may be a base in which it has that name"


# Names


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (r"x\ny", r"'x\ny'"),
        (r"x\ty", r"'x\ty'"),
        (r"x\033[2Jy", r"'x\x1b[2Jy'"),
        (r"x\177", r"'x\x7f'"),
        (r"x\342\200\256c.y", r"'x\u202ec.y'"),
        (r"x\377", r"'x\udcff'"),
    ],
    ids=["a line end", "a tab", "an escape", "a delete", "right to left", "no UTF-8"],
)
def test_a_name_that_is_no_text_is_refused(apply: Apply, path: str, shown: str) -> None:
    refused(apply, fresh(path), says=f"the file name {shown} has unprintable characters")


@pytest.mark.parametrize(
    "path",
    [
        *("../x", "mm/../../x", "/etc/passwd", "mm/./x", ".git/hooks/x", "mm/.GIT/config"),
        *(r"\056\056/x", r"mm/\056git/x", "git~1/x", ".git./x", ".git::$INDEX_ALLOCATION/x"),
        *(r".g\342\200\214it/x", r".git\342\200\256/x"),
    ],
)
@pytest.mark.parametrize("kind", [fresh, hunk], ids=["git's", "traditional"])
def test_a_path_outside_the_tree_is_refused(
    apply: Apply, path: str, kind: Callable[[str], str]
) -> None:
    quoted = "\\" in path
    text = (
        kind(path)
        if not quoted or kind is fresh
        else hunk(path).replace(f"b/{path}", f'"b/{path}"')
    )
    refused(apply, diff("a.c") + text, says="is a path outside the tree")


def test_a_file_is_not_moved_out_of_the_tree(apply: Apply) -> None:
    refused(apply, moved("a.c", "../a.c"), says="'../a.c' is a path outside the tree")
    refused(apply, diff("../a.c"), says="'../a.c' is a path outside the tree")


# Kinds of file


def test_a_submodule_is_refused(apply: Apply) -> None:
    text = fresh("sub", f"Subproject commit {'12345678' * 5}", "160000")
    refused(apply, text, says="sub is a submodule")


@pytest.mark.parametrize("start", ["", "x" * 80 + "\n"], ids=["at once", "after a line"])
def test_a_binary_that_comes_as_text_is_refused(apply: Apply, start: str) -> None:
    bad = refused(
        apply, fresh("x.c", "a\0b").replace("+a", f"+{start.strip()}a"), says="x.c is binary"
    )
    assert bad.hint == NOT_TO_REVIEW


def test_a_binary_whose_first_bytes_are_text_is_refused(apply: Apply) -> None:
    """git looks at 8000 of them."""
    refused(apply, fresh("x.c", "a" * 9000 + "\0b"), says="x.c is binary")


def test_a_binary_that_is_called_text_is_refused(apply: Apply) -> None:
    refused(
        apply, fresh(".gitattributes", "* diff"), fresh("x.c", "a\0b"), says="x.c is bin", number=2
    )


# Symbolic links


LINKS: dict[str, tuple[tuple[str, ...], str]] = {
    "absolute": ((link("mm/k", "/etc/passwd"),), "mm/k is a symlink that leads out of the tree"),
    "relative": ((link("mm/k", "../.."),), "mm/k -> '../..'"),
    "through a link of the base": ((link("k", "d/l/.."),), "k -> 'd/l/..', d/l -> '..'"),
    "through its own": ((link("j", "."), link("k", "j/..")), "k -> 'j/..', j -> '.'"),
    "to one of the base that leads out": ((link("k", "away/x"),), "away -> '/usr/include'"),
    "of the base, changed": (
        (diff("d/l", "..", "../..").replace("\n+../", "\n\\ No newline at end of file\n+../")
         .replace("--- a/d/l", "index a96aa0e..c25bddb 120000\n--- a/d/l")
         + "\\ No newline at end of file\n",),
        "d/l is a symlink that leads out of the tree: d/l -> '../..'",
    ),
    "copied outwards": ((moved("d/e/deep", "deep", "copy"),), "deep is a symlink that leads out"),
    "to itself": ((link("k", "k"),), "k is a symlink that never ends"),
    "to git's own": ((link("k", ".git"),), "k is a symlink that leads to git's own files"),
    "with an escape": ((link("k", "a\033[2J"),), r"its target: k -> 'a\x1b[2J'"),
    "with a NUL": ((link("k", "d/..\0x"),), r"its target: k -> 'd/..\x00x'"),
}  # fmt: skip


@pytest.mark.parametrize("name", LINKS)
def test_a_symlink_that_leads_out_is_refused(apply: Apply, name: str) -> None:
    patches, says = LINKS[name]
    assert refused(apply, *patches, says=says, number=len(patches)).hint == HINT


def test_a_symlink_renamed_outwards_is_refused(apply: Apply) -> None:
    refused(apply, moved("d/e/deep", "deep"), says="deep is a symlink that leads out of the tree")


def test_a_symlink_led_outwards_by_another_is_refused(apply: Apply) -> None:
    """The base's own, whose directory becomes a link: d/e/deep is ../../mm as before."""
    first = fresh("q/r/x.c") + link("q/s", "r/../../a.c")
    second = gone("q/r/x.c", "x") + link("q/r", "..")
    refused(apply, first, second, says="leads out of the tree: q/s -> 'r/../../a.c'", number=2)


def test_more_symlinks_than_a_kernel_has_are_refused(apply: Apply) -> None:
    """Each is followed after each patch, which takes hours for a mail that is full of them."""
    many = "".join(link(f"q/{number}", "../a.c") for number in range(1001))
    refused(apply, many, says="the series changes 1001 symlinks")


def test_a_file_written_through_a_symlink_is_refused(apply: Apply) -> None:
    says = "is a symlink"
    refused(apply, fresh("d/l/evil.c"), says=f"'d/l/evil.c' {says}")
    refused(apply, link("k", "mm") + fresh("k/evil.c"), says=f"'k/evil.c' {says}")
    refused(apply, link("k", "mm"), fresh("k/evil.c"), says=f"'k/evil.c' {says}", number=2)
    refused(apply, diff("d/l/a.c"), says="does not apply to v6.12: d/l/a.c is not in it")
