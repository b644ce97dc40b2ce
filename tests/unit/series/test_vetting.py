# SPDX-License-Identifier: GPL-2.0-only
"""What a mail alone can tell of a patch."""

import pytest

from rig.errors import ConfigError
from rig.series import vetting

PLAIN = "diff --git a/mm/x.c b/mm/x.c\n--- a/mm/x.c\n+++ b/mm/x.c\n@@ -1 +1 @@\n-old\n+new\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "../etc/passwd\n--- a/../x\n" + PLAIN,
        "Binary files a and b differ\n" + PLAIN,
        PLAIN.replace("+new", "+GIT binary patch"),
    ],
    ids=range(4),
)
def test_what_kernel_developers_send(text: str) -> None:
    assert vetting.whole(text, "patch 1", last=True) == ("mm/x.c",)


@pytest.mark.parametrize(
    "text",
    [
        "diff --git a/x.png b/x.png\nGIT binary patch\nliteral 3\n",
        "diff --git a/x.png b/x.png\nindex 1..2 100644\nBinary files a/x.png and b/x.png differ\n",
    ],
    ids=["with its content", "without"],
)
def test_a_binary_patch_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"patch 1: 'x\.png' is a binary patch") as bad:
        vetting.whole(PLAIN + text, "patch 1", last=True)
    assert bad.value.hint == vetting.NOT_TO_REVIEW


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
    assert vetting.named(f"diff --git {said}") == NAMES[said]


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
    assert vetting.whole(text, "patch 1", last=False) == files


@pytest.mark.parametrize("line", ["@@ -{0} +1 @@", "@@ -1,{0} +1 @@", "@@ -1 +{0},{0} @@"])
def test_a_number_without_an_end_is_none(line: str) -> None:
    """int() refuses 5,000 digits with a traceback; git calls the patch corrupt."""
    body = f"{'9' * 5000} files changed\ndiff --git a/x b/x\n{line.format('9' * 5000)}\n-a\n+b\n"
    assert vetting.whole(body, "patch", last=True) == ("x",)
