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
