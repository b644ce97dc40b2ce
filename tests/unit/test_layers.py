# SPDX-License-Identifier: GPL-2.0-only
"""DESIGN's table of layers and its rules on form, read off the source.

Each rule is a function from source to complaints, shown here to complain about a breach of it and
then held against every module there is.
"""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent.parent

# In the order of DESIGN: a module may import what stands before it. `*` is every module of a
# package, none of which may import another. `report.*` and the like come after `report` itself.
LAYERS = {
    "L0 host": "printable errors log proc store git discover shelves",
    "L1 nouns": (
        "version kconfig arches arch arches.* guard rfc822 series mutant target ktap console"
        " verdict kselftest cpio keys claims symlinks"
    ),
    "L2 makers": (
        "debian base sandbox b4 threads intake applied tree weave host lane kbuild guestbin"
        " selftests image qemu accel software guest steady seeded gdbstub symbolize doctor"
    ),
    "L3 workloads": "suites suite suites.* benches bench difference benches.*",
    "L4 campaigns": (
        "onto eachpatch results run campaign request rangediff mutation replay trace explore"
        " compare bisect nightly history report report.text report.comparison report.reply"
        " report.junit report.files report.*"
    ),
    "L5 faces": "progress cli_app cli_bench cli_series cli pytest_plugin __main__ overhead",
}
# The package itself, and the layer of programs to be started by hand (`python -m rig.overhead`).
PACKAGE = "rig"
NOUNS, FACES = "L1 nouns", "L5 faces"
SPEAKERS = ("overhead",)
"""Print results of their own, being programs as well as modules."""

IMPORTERS = {
    "subprocess": ("proc",),
    "pty": ("proc",),
    "fabric": ("guest",),
    "paramiko": ("guest",),
    "jinja2": ("report", "report.*"),
    "typer": ("cli", "cli_*", "__main__"),
    "rich": ("progress", "cli", "report", "report.*"),
}
"""Library -> the only modules that may import it."""

IMPURE = ("rig.proc", "rig.store", "rig.git", "socket", "shutil", "tempfile", "urllib.request")
"""What a noun has no use for."""

MODULE_LINES, FUNCTION_LINES = 400, 60

NO_HEADER = (
    *("LICENSE", "*.md", "*.mbx", ".gitignore", "*.json", "tests/data/*"),
    *(f"images/*/tree/etc/{name}" for name in ("passwd", "group", "shells")),
)
"""Files without an SPDX line: texts, mails, and golden data, which are
verbatim; and those whose format has no comments."""


def rank(module: str) -> tuple[int, int] | None:
    """Place in the table of a module named without `rig.`; a plain name goes before a `*`."""
    places = {
        pattern: (layer, place)
        for layer, modules in enumerate(LAYERS.values())
        for place, pattern in enumerate(modules.split(" "))
    }
    if module in places:
        return places[module]
    return next((places[p] for p in places if "*" in p and fnmatchcase(module, p)), None)


def short(module: str) -> str:
    return module.removeprefix("rig.")


@cache
def sources() -> dict[str, str]:
    """Module name -> source, of every module of the rig."""
    found = {}
    for path in sorted((TOP / "rig").rglob("*.py")):
        parts = path.relative_to(TOP).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path.read_text()
    return found


def imports(source: str, modules: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield node.lineno, inner if inner in modules else str(node.module)


# The rules


def unplaced(module: str) -> list[str]:
    if module == PACKAGE or rank(short(module)) is not None:
        return []
    return [f"{module}: add it to LAYERS in {Path(__file__).name}, and to DESIGN's table"]


def upward(module: str, source: str, modules: frozenset[str]) -> list[str]:
    here = rank(short(module))
    complaints = []
    for line, name in imports(source, modules):
        if not name.startswith("rig.") or here is None:
            continue
        # `import rig.suites.x.y` of something that is not a module is a mistake of another kind.
        there = rank(short(name))
        if there is not None and there >= here and name != module:
            complaints.append(f"{module}:{line}: {name} is not below it")
    return complaints


def foreign(module: str, source: str) -> list[str]:
    complaints = []
    for line, name in imports(source, frozenset()):
        library = name.partition(".")[0]
        allowed = IMPORTERS.get(library)
        if allowed and not any(fnmatchcase(short(module), pattern) for pattern in allowed):
            complaints.append(f"{module}:{line}: only {', '.join(allowed)} may import {library}")
    return complaints


def starts_programs(module: str, source: str) -> list[str]:
    """Other ways than `subprocess` past the one door."""
    return [
        f"{module}:{node.lineno}: os.{node.attr} goes past rig.proc"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("os", "asyncio")
        and re.match(r"system$|popen$|fork|posix_spawn|spawn|exec[lv]|create_subprocess", node.attr)
    ]


def impure(module: str, source: str, modules: frozenset[str]) -> list[str]:
    here = rank(short(module))
    if here is None or list(LAYERS)[here[0]] != NOUNS:
        return []
    return [
        f"{module}:{line}: {name} has no place in a noun"
        for line, name in imports(source, modules)
        if any(name == bad or name.startswith(f"{bad}.") for bad in IMPURE)
    ]


def speaks(module: str, source: str) -> list[str]:
    here = rank(short(module))
    if here is not None and list(LAYERS)[here[0]] == FACES:
        return []
    if any(fnmatchcase(short(module), pattern) for pattern in SPEAKERS):
        return []
    return [
        f"{module}:{node.lineno}: only faces speak to people; say it by rig.log"
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Name) and node.id in ("print", "input"))
        or (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and (node.value.id, node.attr)
            in (("sys", "stdout"), ("sys", "stderr"), ("sys", "exit"))
        )
    ]


def past_the_doors(module: str, source: str) -> list[str]:
    """What a person is shown is printable by where it leaves, so there is one place of each."""
    here = rank(short(module))
    if here is None or list(LAYERS)[here[0]] != FACES or short(module) in SPEAKERS:
        return []
    doors = {
        **dict.fromkeys(("print", "typer.echo", "typer.secho", "sys.stdout.write"), "cli_app"),
        "sys.stderr.write": "__main__",
    }
    return [
        f"{module}:{node.lineno}: {called} goes past {doors[called]}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and (called := ast.unparse(node.func)) in doors
        and doors[called] != short(module)
    ]


def too_long(module: str, source: str) -> list[str]:
    lines = len(source.splitlines())
    complaints = [f"{module}: {lines} lines, over {MODULE_LINES}"] if lines > MODULE_LINES else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                complaints.append(
                    f"{module}:{node.lineno}: {node.name} has {length} lines, over {FUNCTION_LINES}"
                )
    return complaints


def asks_for_architecture(module: str, source: str) -> list[str]:
    """`grep -rE 'arch(\\.name)? *==' rig/` stays empty; and its other spellings."""
    asking = re.compile(r"""\barch(\.name)? *([=!]=|in *\()|\bcase *["'](x86_64|arm64)""")
    return [
        f"{module}:{number}: an architecture's facts are fields of its Arch: {line.strip()}"
        for number, line in enumerate(source.splitlines(), 1)
        if asking.search(line)
    ]


def complaints_of(module: str, source: str, modules: frozenset[str]) -> list[str]:
    return [
        *unplaced(module),
        *upward(module, source, modules),
        *foreign(module, source),
        *starts_programs(module, source),
        *impure(module, source, modules),
        *speaks(module, source),
        *past_the_doors(module, source),
        *too_long(module, source),
        *asks_for_architecture(module, source),
    ]


MODULES = frozenset(sources())


def test_no_file_asks_for_the_architecture() -> None:
    """DESIGN's own words: `grep -rE 'arch(\\.name)? *==' rig/` stays empty."""
    asking = re.compile(r"arch(\.name)? *==")
    files = [path for path in tracked(TOP / "rig") if path.suffix in (".py", ".c", ".h", ".toml")]
    assert files
    assert [path.name for path in files if asking.search(path.read_text())] == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_module_keeps_the_rules(module: str) -> None:
    assert complaints_of(module, sources()[module], MODULES) == []


def test_there_are_modules_to_judge() -> None:
    assert {"rig", "rig.errors", "rig.proc", "rig.arches.arm64", "rig.progress"} <= MODULES


LONG = "def f() -> None:\n" + "    f()\n" * FUNCTION_LINES


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("rig.utils", "", "add it to LAYERS"),
        ("rig.proc", "from rig.store import Store", "rig.store is not below it"),
        ("rig.proc", "from rig import store", "rig.store is not below it"),
        ("rig.proc", "import rig.store", "rig.store is not below it"),
        ("rig.proc", "def f():\n    import rig.store", "proc:2: rig.store is not below it"),
        ("rig.tree", "from rig import image", "rig.image is not below it"),
        ("rig.arches.arm64", "from rig.arches import x86_64", "rig.arches.x86_64 is not below it"),
        ("rig.qemu", "import subprocess", "only proc may import subprocess"),
        ("rig.qemu", "from subprocess import Popen", "only proc may import subprocess"),
        ("rig.run", "import paramiko.client", "only guest may import paramiko"),
        ("rig.run", "import fabric", "only guest may import fabric"),
        ("rig.run", "import jinja2", "only report, report.* may import jinja2"),
        ("rig.run", "from rich.table import Table", "may import rich"),
        ("rig.qemu", "os.execv('/bin/sh', [])", "os.execv goes past rig.proc"),
        ("rig.qemu", "os.system('true')", "os.system goes past rig.proc"),
        ("rig.ktap", "from rig import proc", "rig.proc has no place in a noun"),
        ("rig.ktap", "import urllib.request", "urllib.request has no place in a noun"),
        ("rig.run", "print('hello')", "only faces speak"),
        ("rig.run", "sys.stdout.write('hello')", "only faces speak"),
        ("rig.run", "sys.exit(1)", "only faces speak"),
        ("rig.cli", "print('hello')", "print goes past cli_app"),
        ("rig.cli_bench", "typer.echo('hello')", "typer.echo goes past cli_app"),
        ("rig.cli", "sys.stderr.write('hello')", "sys.stderr.write goes past __main__"),
        ("rig.run", "#\n" * (MODULE_LINES + 1), "401 lines, over 400"),
        ("rig.run", LONG, "f has 61 lines, over 60"),
        ("rig.run", "if arch == ARM:\n    pass", "facts are fields"),
        ("rig.run", 'if spec.arch.name == "arm64":\n    pass', "facts are fields"),
        ("rig.run", 'if arch.name in ("arm64",):\n    pass', "facts are fields"),
        ("rig.run", 'match a:\n    case "arm64":\n        pass', "facts are fields"),
    ],
)
def test_a_breach_is_complained_of(module: str, source: str, complaint: str) -> None:
    modules = MODULES | {"rig.store", "rig.image", "rig.arches.x86_64"}
    found = complaints_of(module, source, modules)
    assert len(found) == 1, found
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("rig.proc", "import subprocess\nfrom rig import log\nfrom rig.errors import InfraError"),
        ("rig.report.html", "import jinja2\nfrom rig import report"),
        ("rig.cli", "say('result')\nsys.exit(2)"),
        ("rig.cli_app", "typer.echo('result')"),
        ("rig.run", LONG.removesuffix("    f()\n")),
        ("rig.run", "architecture == 1\nfind(arch=arch)\nif a in (arch.name,): pass"),
    ],
)
def test_what_is_allowed_is_not(module: str, source: str) -> None:
    assert complaints_of(module, source, MODULES | {"rig.report"}) == []


# Files of every kind


def tracked(top: Path) -> Iterator[Path]:
    """What belongs to the checkout, without asking git: there is none in an unpacked archive."""
    for path in sorted(top.iterdir()):
        if path.name.startswith(".") and path.name not in (".ci", ".gitignore"):
            continue
        if path.name in ("__pycache__", "build", "dist") or path.name.endswith(".egg-info"):
            continue
        if path.is_symlink():
            continue
        if path.is_dir():
            yield from tracked(path)
        else:
            yield path


def without_header(top: Path) -> list[str]:
    complaints = []
    for path in tracked(top):
        name = str(path.relative_to(top))
        if any(fnmatchcase(name, pattern) for pattern in NO_HEADER):
            continue
        with path.open(errors="replace") as file:
            head = "".join(next(file, "") for _ in range(3))
        if "SPDX-License-Identifier: GPL-2.0-only" not in head:
            complaints.append(name)
    return complaints


def test_every_file_says_its_licence() -> None:
    assert without_header(TOP) == []


def test_a_file_without_licence_is_complained_of(tmp_path: Path) -> None:
    (tmp_path / "rig").mkdir()
    (tmp_path / ".venv").mkdir()
    header = "# SPDX-License-Identifier: GPL-2.0-only\n"
    for name, text in {
        "bootstrap": f"#!/bin/sh\n{header}",
        "README.md": "",
        "rig/good.py": header,
        "rig/bad.py": "",
        "rig/late.c": "\n\n\n" + header,
        ".venv/theirs.py": "",
    }.items():
        (tmp_path / name).write_text(text)
    assert without_header(tmp_path) == ["rig/bad.py", "rig/late.c"]


def test_the_licence_is_the_one_that_is_named() -> None:
    text = (TOP / "LICENSE").read_text()
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "Version 2, June 1991" in text
