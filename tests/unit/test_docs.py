# SPDX-License-Identifier: GPL-2.0-only
"""README.md and docs/: what they link to and name is there, and no verb is left out.

Each rule is a function from text to complaints, shown here to complain about a broken text and then
held against every page.
"""

import re
from pathlib import Path

import pytest
import typer.main

from rig.cli import run

TOP = Path(__file__).parent.parent.parent
PAGES = (TOP / "README.md", *sorted((TOP / "docs").glob("*.md")))

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
NAMED = re.compile(r"(?<![\w./-])(?:rig|tests|kconfigs|images|patches|docs|\.ci)/[\w./*@-]*[\w/*]")
PLACEHOLDER = re.compile(r"(?:^|/)(?:SERIES|vN)(?=[/.])")
"""Upper case, or in <>: what stands for a name."""
TEST = re.compile(r"(?:[a-z]+/)?test_\w+\.py")
"""How docs/security.md names tests: below tests/unit/."""
MEMBER = re.compile(r"::(test_\w+)")
ROW = re.compile(r"^\| `(rig/\w+/)` \|[^|]*\|([^|]*)\|$", re.MULTILINE)
FUNCTION = re.compile(r"(\w+)\(\)")
DEFINED = re.compile(r"\bdef (\w+)\(")
FOUND_BY_NAME = ("rig/arch/", "rig/suites/", "rig/benches/")
"""What somebody adds there needs no line anywhere else (rig/discover.py)."""
FAULT = re.compile(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
EXITS = re.compile(r"-|same|its own|(?:[0-4]|130|141)(?:, (?:[0-4]|130|141))*")
FAULTS = 60
VERB = re.compile(r"^\| `rig ([a-z0-9-]+)` \|", re.MULTILINE)


def prose(text: str) -> str:
    """Without blocks of commands and their output."""
    return FENCED.sub("", text)


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings."""
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose(text)))
    return {heading.replace(" ", "-") for heading in words}


def broken_links(text: str, page: Path) -> list[str]:
    complaints = []
    for link in LINK.findall(prose(text)):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        path = page.parent / name if name else page
        if not path.exists():
            complaints.append(f"{page.name}: {link}: there is no such file")
        elif anchor and anchor not in anchors(text if path == page else path.read_text()):
            complaints.append(f"{page.name}: {link}: there is no such heading")
    return complaints


def absent_paths(text: str, page: Path) -> list[str]:
    """Paths of the checkout that the prose names in `code`, and that are not there."""
    complaints = []
    for code in CODE.findall(prose(text)):
        if "<" in code:
            continue
        for name in NAMED.findall(code):
            if not PLACEHOLDER.search(name) and not any(TOP.glob(name.rstrip("/"))):
                complaints.append(f"{page.name}: {name} does not exist")
    return complaints


def absent_tests(text: str, page: Path) -> list[str]:
    """Tests that a line names: `kernel/test_sandbox.py::test_x`, and `::test_y` of that file."""
    complaints = []
    for line in prose(text).splitlines():
        source = ""
        for code in CODE.findall(line):
            file = TEST.match(code)
            if file and not (TOP / "tests" / "unit" / file[0]).is_file():
                complaints.append(f"{page.name}: tests/unit/{file[0]} does not exist")
                continue
            if file:
                source = (TOP / "tests" / "unit" / file[0]).read_text()
            complaints += [
                f"{page.name}: {code} does not exist"
                for test in MEMBER.findall(code)
                if not re.search(rf"^def {test}\(", source, re.MULTILINE)
            ]
    return complaints


def left_out(readme: str) -> list[str]:
    """Verbs without a line in the table, and lines without a verb."""
    program = typer.main.get_command(run.app)
    verbs, table = set(getattr(program, "commands")), VERB.findall(readme)  # noqa: B009
    return [
        *(f"rig {verb} is not in the README's table" for verb in sorted(verbs - {*table})),
        *(f"there is no verb {verb}" for verb in sorted({*table} - verbs)),
        *(f"rig {verb} is there twice" for verb in sorted({*table}) if table.count(verb) > 1),
    ]


def wrong_modules(text: str) -> list[str]:
    """The table of packages against the modules that there are."""
    complaints = []
    for package, cell in ROW.findall(text):
        named = {*CODE.findall(cell.split("(C)")[0])} - {"Arch", "guestlib"}
        paths = (TOP / package).iterdir()
        there = {
            path.stem for path in paths if path.suffix == ".py" or (path / "__init__.py").is_file()
        }
        complaints += [f"{package}{name}.py does not exist" for name in sorted(named - there)]
        if package not in FOUND_BY_NAME:
            absent = sorted(there - named - {"__init__"})
            complaints += [f"{package}{name}.py is not in the table" for name in absent]
    return complaints


def absent_functions(text: str) -> list[str]:
    """What the walk calls, as name(), and nobody defines."""
    sources = [path.read_text() for path in (TOP / "rig").rglob("*.py")]
    there = {name for source in sources for name in DEFINED.findall(source)}
    named = {name for code in CODE.findall(prose(text)) for name in FUNCTION.findall(code)}
    return [f"{name}() does not exist" for name in sorted(named - there)]


def untested_faults(text: str) -> list[str]:
    """Rows of faults.md without a test, with an exit status that no verb has, or twice there."""
    rows = [cells for cells in FAULT.findall(text) if cells[0] != "fault" and cells[0].strip("-")]
    faults = [fault for fault, *_ in rows]
    return [
        *(f"no test: {fault}" for fault, *_, test in rows if not MEMBER.search(test)),
        *(f"exit {exits}: {fault}" for fault, _, exits, _ in rows if not EXITS.fullmatch(exits)),
        *(f"twice: {fault}" for fault in sorted({*faults}) if faults.count(fault) > 1),
        *([] if len(rows) >= FAULTS else [f"{len(rows)} rows, at least {FAULTS}"]),
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    complaints = [*broken_links(text, page), *absent_paths(text, page), *absent_tests(text, page)]
    assert complaints == []


def test_every_fault_has_a_test() -> None:
    text = (TOP / "docs" / "faults.md").read_text()
    assert untested_faults(text) == []
    row = "| make is missing | BROKEN | 3 | `kernel/test_kbuild.py` |"
    assert untested_faults(f"{text}\n{row}") == ["no test: make is missing"]
    row = "| make is missing | BROKEN | 9 | `kernel/test_kbuild.py::test_x` |"
    assert untested_faults(f"{text}\n{row}\n{row}")[1:] == [
        "exit 9: make is missing",
        "twice: make is missing",
    ]
    assert untested_faults(row.replace("9", "3")) == ["1 rows, at least 60"]


def test_every_verb_is_in_the_readme() -> None:
    assert left_out((TOP / "README.md").read_text()) == []


def test_every_page_is_in_the_index() -> None:
    index = (TOP / "docs" / "README.md").read_text()
    assert {*LINK.findall(index)} >= {page.name for page in PAGES[1:] if page.name != "README.md"}


def test_the_packages_and_the_walk_are_those_of_the_code() -> None:
    text = (TOP / "docs" / "architecture.md").read_text()
    assert [package for package, _ in ROW.findall(text)] == [
        f"rig/{name}/"
        for name in (
            *("arch", "series", "kernel", "guest", "verdict"),
            *("suites", "benches", "history", "campaigns", "report", "cli"),
        )
    ]
    assert [*wrong_modules(text), *absent_functions(text)] == []


def test_a_wrong_table_and_a_wrong_walk_are_complained_of() -> None:
    modules = "`blame exitstatus floors identity lines resultline ktap rules nothing`"
    row = f"| `rig/verdict/` | x | {modules.replace(' ', '`, `')} |"
    assert wrong_modules(row) == [
        "rig/verdict/nothing.py does not exist",
        "rig/verdict/kselftest.py is not in the table",
    ]
    assert wrong_modules("| `rig/arch/` | x | `arm64` |") == []
    assert absent_functions("`judge()`, `no_such_thing()`") == ["no_such_thing() does not exist"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[x](docs/nothing.md)", "docs/nothing.md: there is no such file"),
        ("[x](#nowhere)", "#nowhere: there is no such heading"),
        ("[x](docs/series.md#nowhere)", "docs/series.md#nowhere: there is no such heading"),
        ("`rig/nothing.py` does it", "rig/nothing.py does not exist"),
        ("`rig/kernel/` and `rig/kernels/`", "rig/kernels/ does not exist"),
        ("| `tests/unit/test_nothing.py` |", "tests/unit/test_nothing.py does not exist"),
        ("see `patches/*/nothing.toml`", "patches/*/nothing.toml does not exist"),
        ("| x | `kernel/test_nothing.py::test_x` |", "tests/unit/kernel/test_nothing.py does not"),
        ("`test_docs.py::test_nothing`", "test_docs.py::test_nothing does not exist"),
        ("`test_docs.py`, `::test_nothing`", "::test_nothing does not exist"),
    ],
)
def test_a_broken_page_is_complained_of(text: str, complaint: str) -> None:
    page = TOP / "README.md"
    (said,) = [*broken_links(text, page), *absent_paths(text, page), *absent_tests(text, page)]
    assert complaint in said


@pytest.mark.parametrize(
    "text",
    [
        "# All the verbs\n[x](#all-the-verbs) [y](docs/cases.md) [z](https://example.org/x)",
        "`rig/*.py`, `rig/kernel/`, `rig/suites/<name>/`, `patches/SERIES/vN.mbx`, `.ci/run`",
        "```console\n$ cat rig/nothing.py\n[x](docs/nothing.md)\n```",
        "a word/rig/nothing.py that is no code; `/usr/rig/nothing`, `rig run x`",
    ],
)
def test_a_sound_page_is_not(text: str) -> None:
    page = TOP / "README.md"
    said = [*broken_links(text, page), *absent_paths(text, page), *absent_tests(text, page)]
    assert said == []


def test_a_verb_that_is_left_out_is_complained_of() -> None:
    readme = (TOP / "README.md").read_text()
    line = next(line for line in readme.splitlines() if line.startswith("| `rig mutate` |"))
    assert left_out(readme.replace(line, "")) == ["rig mutate is not in the README's table"]
    assert left_out(readme.replace(line, line.replace("mutate", "mutat"))) == [
        "rig mutate is not in the README's table",
        "there is no verb mutat",
    ]
    assert left_out(readme.replace(line, f"{line}\n{line}")) == ["rig mutate is there twice"]
