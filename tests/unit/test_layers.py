# SPDX-License-Identifier: GPL-2.0-only
"""DESIGN's table of packages and its rules on form, read off the source.

Each rule is a function from source to complaints, shown here to complain about a breach of it and
then held against every module there is.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent.parent

# The stages, in the order in which data flows: a package imports only those before it.
PACKAGES = {
    "rig": "what everybody stands on: errors, log, proc, store, git, ...",
    "rig.arch": "facts of an architecture",
    "rig.series": "mails, until they are patches on the shelf",
    "rig.kernel": "base, tree, configuration, build, mutants, the sandbox",
    "rig.guest": "image, QEMU, boot, console, the seeded schedule",
    "rig.verdict": "KTAP and the rules of outcomes",
    "rig.suites": "the tests",
    "rig.benches": "the benchmarks",
    "rig.history": "every stored run",
    "rig.campaigns": "one run and all that is made of many",
    "rig.report": "stored results, rendered",
    "rig.cli": "the verbs",
}
FACES = "rig.cli"
ENTRY_POINTS = ("rig.__main__", "rig.pytest_plugin")
"""They stand where Python's entry points look for them, and belong to the faces."""
SPEAKERS = ("rig.cli.overhead", "rig.cli.false_differences")
"""Print results of their own, being programs as well as modules."""

IMPORTERS = {
    "subprocess": ("rig.proc",),
    "pty": ("rig.proc",),
    "fabric": ("rig.guest.boot",),
    "paramiko": ("rig.guest.boot", "rig.guest.session"),
    "jinja2": ("rig.report.*",),
    "typer": ("rig.cli.*", "rig.__main__"),
    "rich": ("rig.cli.*", "rig.report.*"),
}
"""Library -> the only modules that may import it."""

PURE = (
    *("rig.version", "rig.printable", "rig.arch.*", "rig.verdict.*"),
    *(f"rig.series.{name}" for name in ("model", "target", "rfc822", "vetting", "claims")),
    *(f"rig.kernel.{name}" for name in ("kconfig", "mutant", "symlinks")),
    *(f"rig.history.{name}" for name in ("chance", "changes", "entries", "schema")),
    *(f"rig.campaigns.{name}" for name in ("ancestry", "rates", "culprit", "forecast")),
    *(
        f"rig.guest.{name}"
        for name in ("console", "cpio", "diskheadlines", "headlines", "splat", "sshkeys", "stamps")
    ),
)
"""Values and what can be computed of them: no file of the store, no program, no network."""
IMPURE = ("rig.proc", "rig.store", "rig.git", "socket", "shutil", "tempfile", "urllib.request")

MODULE_LINES, FUNCTION_LINES = 400, 60

NO_HEADER = (
    *("LICENSE", "rig/py.typed", "*.md", "*.mbx", ".gitignore", "*.json", "tests/data/*"),
    *(f"images/*/tree/etc/{name}" for name in ("passwd", "group", "shells")),
)
"""Files without an SPDX line: texts, mails, and golden data, which are
verbatim; and those whose format has no comments."""


def package(module: str) -> str:
    """The stage a module belongs to."""
    if module in ENTRY_POINTS:
        return FACES
    parts = module.split(".")
    inside = ".".join(parts[:2])
    return inside if inside in PACKAGES or len(parts) > 2 else parts[0]


def is_any(module: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(module, pattern) for pattern in patterns)


@cache
def sources() -> dict[str, str]:
    """Module name -> source, of every module of the rig."""
    modules = {}
    for path in sorted((TOP / "rig").rglob("*.py")):
        parts = path.relative_to(TOP).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = path.read_text()
    return modules


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
    if package(module) in PACKAGES:
        return []
    return [f"{module}: add {package(module)} to PACKAGES in {Path(__file__).name}, and to DESIGN"]


def upward(module: str, source: str, modules: frozenset[str]) -> list[str]:
    order = list(PACKAGES)
    complaints = []
    for line, name in imports(source, modules):
        if not is_any(name, ("rig", "rig.*")) or not {package(module), package(name)} <= {*order}:
            continue
        if order.index(package(name)) > order.index(package(module)):
            complaints.append(f"{module}:{line}: {name} is of a later stage")
    return complaints


def circles(sources: dict[str, str]) -> list[str]:
    """Modules that import each other, through others or not, wherever in the file."""
    modules = frozenset(sources)
    graph = {
        module: {name for _, name in imports(source, modules) if name in modules} - {module}
        for module, source in sources.items()
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def foreign(module: str, source: str) -> list[str]:
    complaints = []
    for line, name in imports(source, frozenset()):
        library = name.partition(".")[0]
        allowed = IMPORTERS.get(library)
        if allowed and not is_any(module, allowed):
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
    if not is_any(module, PURE):
        return []
    return [
        f"{module}:{line}: {name} has no place in a pure module"
        for line, name in imports(source, modules)
        if is_any(name, [*IMPURE, *(f"{bad}.*" for bad in IMPURE)])
    ]


def speaks(module: str, source: str) -> list[str]:
    if package(module) == FACES:
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
    if package(module) != FACES or module in SPEAKERS:
        return []
    doors = {
        **dict.fromkeys(("print", "typer.echo", "typer.secho", "sys.stdout.write"), "rig.cli.app"),
        "sys.stderr.write": "rig.cli.bugs",
    }
    return [
        f"{module}:{node.lineno}: {called} goes past {doors[called]}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and (called := ast.unparse(node.func)) in doors
        and doors[called] != module
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
    names = "|".join(path.stem for path in (TOP / "rig" / "arch").glob("*.S"))
    asking = re.compile(rf"""\barch(\.name)? *([=!]=|in *\()|\bcase *["']({names})""")
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


def test_no_modules_import_each_other() -> None:
    assert circles(sources()) == []


def test_modules_that_import_each_other_are_complained_of() -> None:
    pair = {"rig.a": "from rig import b", "rig.b": "def f():\n    from rig.a import x"}
    (complaint,) = circles(pair)
    assert complaint in ("rig.a -> rig.b -> rig.a", "rig.b -> rig.a -> rig.b")


def test_there_are_modules_to_judge() -> None:
    assert {"rig", "rig.errors", "rig.arch.arm64", "rig.cli.progress"} <= MODULES
    assert {package(module) for module in MODULES} == {*PACKAGES}


RUN = "rig.campaigns.pipeline"
LONG = "def f() -> None:\n" + "    f()\n" * FUNCTION_LINES


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("rig.utils.x", "", "add rig.utils to PACKAGES"),
        ("rig.proc", "from rig.kernel.tree import Tree", "rig.kernel.tree is of a later stage"),
        ("rig.proc", "from rig.kernel import tree", "rig.kernel.tree is of a later stage"),
        ("rig.proc", "import rig.kernel.tree", "rig.kernel.tree is of a later stage"),
        ("rig.proc", "def f():\n    import rig.kernel.tree", "proc:2: rig.kernel.tree is of"),
        ("rig.kernel.tree", "from rig.guest import image", "rig.guest.image is of a later stage"),
        ("rig.report.text", "from rig.__main__ import main", "rig.__main__ is of a later stage"),
        ("rig.guest.qemu", "import subprocess", "only rig.proc may import subprocess"),
        ("rig.guest.qemu", "from subprocess import Popen", "only rig.proc may import subprocess"),
        (
            RUN,
            "import paramiko.client",
            "only rig.guest.boot, rig.guest.session may import paramiko",
        ),
        (RUN, "import fabric", "only rig.guest.boot may import fabric"),
        (RUN, "import jinja2", "only rig.report.* may import jinja2"),
        (RUN, "from rich.table import Table", "may import rich"),
        ("rig.guest.qemu", "os.execv('/bin/sh', [])", "os.execv goes past rig.proc"),
        ("rig.guest.qemu", "os.system('true')", "os.system goes past rig.proc"),
        ("rig.verdict.ktap", "from rig import proc", "rig.proc has no place in a pure module"),
        ("rig.verdict.ktap", "import urllib.request", "urllib.request has no place in a pure"),
        (RUN, "print('hello')", "only faces speak"),
        (RUN, "sys.stdout.write('hello')", "only faces speak"),
        (RUN, "sys.exit(1)", "only faces speak"),
        ("rig.cli.run", "print('hello')", "print goes past rig.cli.app"),
        ("rig.cli.bench", "typer.echo('hello')", "typer.echo goes past rig.cli.app"),
        ("rig.cli.run", "sys.stderr.write('hello')", "sys.stderr.write goes past rig.cli.bugs"),
        (RUN, "#\n" * (MODULE_LINES + 1), "401 lines, over 400"),
        (RUN, LONG, "f has 61 lines, over 60"),
        (RUN, "if arch == ARM:\n    pass", "facts are fields"),
        (RUN, 'if spec.arch.name == "arm64":\n    pass', "facts are fields"),
        (RUN, 'if arch.name in ("arm64",):\n    pass', "facts are fields"),
        (RUN, 'match a:\n    case "arm64":\n        pass', "facts are fields"),
    ],
)
def test_a_breach_is_complained_of(module: str, source: str, complaint: str) -> None:
    complaints = complaints_of(module, source, MODULES)
    assert len(complaints) == 1, complaints
    assert complaint in complaints[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("rig.proc", "import subprocess\nfrom rig import log\nfrom rig.errors import InfraError"),
        ("rig.report.html", "import jinja2\nfrom rig import report"),
        ("rig.kernel.tree", "from rig.kernel import base\nfrom rig.series import model"),
        ("rig.cli.run", "say('result')\nsys.exit(2)"),
        ("rig.cli.app", "typer.echo('result')"),
        (RUN, LONG.removesuffix("    f()\n")),
        (RUN, "architecture == 1\nfind(arch=arch)\nif a in (arch.name,): pass"),
    ],
)
def test_what_is_allowed_is_not(module: str, source: str) -> None:
    assert complaints_of(module, source, MODULES) == []


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
