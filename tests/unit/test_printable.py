# SPDX-License-Identifier: GPL-2.0-only
"""Characters that a terminal obeys, or that mislead a reader."""

import json
import unicodedata

import pytest

from rig import printable

SEEN = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
"""Format characters that are signs to be read: Arabic's, Syriac's and Kaithi's numbers."""
EVERY = [chr(code) for code in range(0x110000)]


def harmful(char: str) -> bool:
    """By Unicode's own tables, which the module does not use."""
    code = ord(char)
    return (
        (
            unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
            and char not in SEEN | {"\n", "\t"}
        )
        or code & 0xFFFE == 0xFFFE
        or 0xFDD0 <= code <= 0xFDEF
    )


def test_every_harmful_character_is_shown_in_ascii() -> None:
    for char in filter(harmful, EVERY):
        shown = printable.text(f"a{char}b")
        assert shown.isascii() and shown.startswith("a\\") and shown.endswith("b"), ascii(char)
        assert int(shown[3:-1], 16) == ord(char), "it is named, and nothing is lost"


def test_letters_marks_signs_and_spaces_stay() -> None:
    kept = [char for char in EVERY if unicodedata.category(char)[0] in "PSN"]
    kept += [char for char in EVERY if unicodedata.category(char) == "Zs"]
    assert [char for char in (*kept, *SEEN, "\n", "\t") if printable.text(char) != char] == []
    fillers = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
    letters = [char for char in EVERY if unicodedata.category(char)[0] in "LM"]
    assert [char for char in letters if printable.text(char) != char] == list(fillers)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "mm: batch the TLB flush of pageout\n\tand more  \n",
        "Zoë, Łukasz, Дмитрий, 陈, नमस्ते, עברית, العربية, Việt, e\u0301",
        "✓ ✗ … 🐧 ❤️ 🇩🇪 𝔘",
        r"C:\new\x1b \u202e",
    ],
)
def test_ordinary_text_stays(said: str) -> None:
    assert printable.text(said) == said
    assert json.loads(printable.json(json.dumps(said, ensure_ascii=False).encode())) == said


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b]0;owned\x07\x1b[31m", r"\x1b]0;owned\x07\x1b[31m"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("ok\rFAIL", r"ok\x0dFAIL"),
        ("one\r\ntwo\r\r\n", "one\ntwo\\x0d\n"),
        ("if (a\u202e) {\u2066", r"if (a\u202e) {\u2066"),
        ("pass\u200bword\ufeff", r"pass\u200bword\ufeff"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), r"caf\udce9"),
        ("\U000e0041\U0010ffff", r"\U000e0041\U0010ffff"),
    ],
)
def test_what_is_shown(said: str, shown: str) -> None:
    assert printable.text(said) == shown
    assert printable.text(shown) == shown, "once is enough"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("  as it is  ", "  as it is  "),
        ("mm: fix\n\nTested-by: nobody\n", "mm: fix Tested-by: nobody"),
        ("mm: fix\r\n  it\x0bnow\u2028", "mm: fix it\\x0bnow\\u2028"),
        ("\n\n", ""),
    ],
)
def test_a_line_is_one(said: str, shown: str) -> None:
    assert printable.line(said) == shown
    assert len(printable.line(said).splitlines()) < 2


def test_a_page_has_the_lines_it_was_made_of() -> None:
    assert printable.page(["a", "  b\nc\r\n", "", "\x0bd"]) == "a\n  b c\n\n\\x0bd\n"
    assert printable.page([]) == ""


def test_json_is_the_same_to_a_machine() -> None:
    said = {"a\x85": "\x1b[31m\u202e\x7f\U000e0041 é", "b": ["\n\r\t\\"]}
    document = json.dumps(said, ensure_ascii=False, indent=1)
    escaped = printable.json(document.encode()).decode()
    assert json.loads(escaped) == said
    assert not any(map(harmful, escaped))
    assert "é" in escaped
