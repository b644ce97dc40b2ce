# SPDX-License-Identifier: GPL-2.0-only
"""What git would refuse late and tersely, or, of a symlink that leads out, take."""

import pytest

from rig import guard
from rig.errors import ConfigError

PLAIN = "diff --git a/mm/x.c b/mm/x.c\n--- a/mm/x.c\n+++ b/mm/x.c\n@@ -1 +1 @@\n-old\n+new\n"


def link(path: str, target: str) -> str:
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 120000\nindex 0000000..1de5659\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+{target}\n\\ No newline at end of file\n"
    )


def new(path: str) -> str:
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
        "@@ -0,0 +1 @@\n+x\n"
    )


def check(*texts: str) -> None:
    guard.check((f"patch {number}", text.split("\n")) for number, text in enumerate(texts, 1))


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "../etc/passwd\n--- a/../x\n" + PLAIN,
        PLAIN.replace("-old", "--- a/../../etc/passwd"),
        PLAIN.replace("+new", "+GIT binary patch"),
        new("a/..b/.gitignore"),
        link("tools/include/x.h", "../../include/x.h"),
        "diff --git a/a b/b\nsimilarity index 100%\nrename from a\nrename to b\n" + PLAIN,
    ],
    ids=range(7),
)
def test_what_kernel_developers_send(text: str) -> None:
    check(text, PLAIN)


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        ([new("../../etc/cron.d/x")], r"b/\.\./\.\./etc/cron\.d/x is a path outside the tree"),
        ([PLAIN, new("/etc/passwd")], "patch 2: b//etc/passwd is a path outside the tree"),
        ([new(".git/hooks/post-checkout")], "outside the tree"),
        ([new("mm/.GIT/config")], "outside the tree"),
        ([PLAIN.replace("+++ b/mm", "+++ b/..")], "outside the tree"),
        (["diff --git a/a b/b\nrename from a\nrename to ../b\n"], r"\.\./b is a path outside"),
        ([new('x"').replace('b/x"', '"b/../x"')], "outside the tree"),
        ([link("mm/l", "/etc/passwd")], "mm/l is a symlink that leads out of the tree, to /etc/pa"),
        ([link("mm/l", "../..")], r"leads out of the tree, to \.\./\.\."),
        ([link("l", "..")], "leads out of the tree"),
        ([link("mm/l", "../lib"), new("mm/l/x.c")], "patch 2: mm/l/x.c is written through mm/l"),
        (
            ["diff --git a/l b/l\nindex 1..2 120000\n--- a/l\n+++ b/l\n@@ -1 +1 @@\n-x\n+/etc\n"],
            "l is a symlink that leads out",
        ),
        (
            [PLAIN + "diff --git a/x.png b/x.png\nGIT binary patch\nliteral 3\n"],
            "x.png is a binary patch",
        ),
        (
            ["diff --git a/x.o b/x.o\nBinary files a/x.o and b/x.o differ\n"],
            "x.o is a binary patch",
        ),
    ],
    ids=range(14),
)
def test_what_they_do_not(texts: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as bad:
        check(*texts)
    assert bad.value.hint


NAMES = {
    "a/mm/x.c b/mm/x.c": "mm/x.c",
    "a/a b.c b/a b.c": "a b.c",
    "a/x b/y b/x b/y": "x b/y",
    "i/mm/x.c w/mm/x.c": "mm/x.c",
    "a/old.c b/mm/new.c": "mm/new.c",
    r'"a/\303\244.c" "b/\303\244.c"': "ä.c",
    r'a/a.c "b/x\ty\n\"\\z.c"': 'x\ty\n"\\z.c',
    r'"a/\303\244.c" b/a b.c': "a b.c",
    r'"a/\377" "b/\377"': "\udcff",
    "a/ä.c b/ä.c": "ä.c",
}


@pytest.mark.parametrize("said", NAMES)
def test_names_are_read_as_git_writes_them(said: str) -> None:
    assert guard.named(f"diff --git {said}") == NAMES[said]


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("diff --git a/a.c b/b.c\nrename from a.c\nrename to b.c\n", ("a.c", "b.c")),
        ("diff --git a/a.c b/b.c\ncopy from a.c\ncopy to b.c\n", ("b.c",)),
        ('diff --git "a/\\t" b/b\nrename from "\\t"\nrename to b\n', ("\t", "b")),
        ("diff --git a/x.c b/x.c\nrename from y.c\nrename to z.c\n", ("y.c", "x.c", "z.c")),
        (PLAIN + "rename to other.c\n", ("mm/x.c",)),
        ("diff --git a/x.c b/x.c\n\nrename to other.c\n", ("x.c",)),
    ],
    ids=["rename", "copy", "quoted", "another than the line says", "after a hunk", "after a blank"],
)
def test_the_files_of_a_patch(text: str, files: tuple[str, ...]) -> None:
    assert guard.whole(text, "patch 1", last=False) == files
