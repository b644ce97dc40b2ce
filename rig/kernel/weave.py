# SPDX-License-Identifier: GPL-2.0-only
"""Adds the mutants to a tree: one commit that has all of them, each behind `rig_mutant(NAME)`.

The commit adds a header and a source file in mm/, and changes the files that mutants are for. So
the clean and the instrumented tree differ in a few files, and one lane builds both.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rig import git, log, proc
from rig.errors import BuildError, ConfigError, InfraError
from rig.kernel import sandbox
from rig.kernel.mutant import Mutant
from rig.kernel.sandbox import Box
from rig.kernel.tree import KernelTree, tree_of
from rig.store import Store, digest

HEADER = "include/linux/rig_mutant.h"
SOURCE = "mm/rig_mutant.c"
MAKEFILE = "mm/Makefile"
PLACE = re.compile(r"(?:^|[\s/])((?:\w+/)+[\w-]+\.[ch]):(\d+)")
"""A place in a compiler's message: mm/rmap.c:1234."""
SYMBOL = re.compile(r"rig_mutant\((\w+)\)")
COPY_AND, FILE_MAX = 'file=$1; cp "$0" "$1" && shift && exec "$@" "$file"', 16 << 20
NEAR = 5
"""Lines. No statement that a mutant changes is longer."""

HEADER_TEXT = """\
/* SPDX-License-Identifier: GPL-2.0-only */
/* Made by the rig: which of its mutants is switched on. */
#ifndef _LINUX_RIG_MUTANT_H
#define _LINUX_RIG_MUTANT_H

enum rig_mutant {{
	RIG_MUTANT_NONE,
{members}
}};

extern int rig_mutant_current;

#define rig_mutant(name) unlikely(READ_ONCE(rig_mutant_current) == RIG_MUTANT_##name)

#endif
"""

# An early_param is read before the first page can be reclaimed. The kernel says which mutant is on,
# because a run without that line on the console has tested the clean kernel.
SOURCE_TEXT = """\
// SPDX-License-Identifier: GPL-2.0-only
/* Made by the rig: rig.mutant=NAME on the command line. */
#include <linux/cache.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <linux/rig_mutant.h>

static const char * const rig_mutant_names[] __initconst = {{
	"none",
{names}
}};

int rig_mutant_current __read_mostly;

static int __init rig_mutant_setup(char *arg)
{{
	int nr = arg ? match_string(rig_mutant_names, ARRAY_SIZE(rig_mutant_names), arg) : -EINVAL;

	if (nr < 0) {{
		pr_err("rig: there is no mutant %s in this kernel\\n", arg);
		return nr;
	}}
	rig_mutant_current = nr;
	pr_info("rig: mutant %s is on\\n", arg);
	return 0;
}}
early_param("rig.mutant", rig_mutant_setup);
"""


def says_it_is_on(name: str) -> str:
    """The line on the console that proves that a mutant is on."""
    return f"rig: mutant {name} is on"


def instrument(store: Store, tree: KernelTree, mutants: Sequence[Mutant]) -> KernelTree:
    """The tree with all mutants that apply to its version.

    Raises ConfigError, naming the file, for a mutant that does not parse or matches nothing.
    """
    applicable = [mutant for mutant in mutants if not mutant.absent(tree.version)]
    # Without comments: a corrected header does not change the tree.
    inputs = {
        "tree": tree.tree,
        "mutants": {mutant.name: [mutant.code, *mutant.files] for mutant in applicable},
        "support": HEADER_TEXT + SOURCE_TEXT,
    }
    name = digest(inputs)

    def weave(_: Path) -> dict[str, str]:
        with log.step(f"Adding {len(applicable)} mutants to {tree.label}") as step:
            commit = _weave(store, tree, applicable, step)
        git.keep(store, f"instrumented/{name}", commit)
        return {"commit": commit, "label": tree.label}

    def check(manifest: Mapping[str, Any]) -> str:
        return git.lacks(store, manifest["commit"])

    store.make("instrumented", name, inputs, weave, check)
    commit = store.manifest("instrumented", name)["commit"]
    return replace(
        tree, label=f"{tree.label}, instrumented", commit=commit, tree=tree_of(store, commit)
    )


def blame(
    store: Store, tree: KernelTree, mutants: Sequence[Mutant], error: BuildError
) -> BuildError:
    """The build error of an instrumented tree, with the mutant at the line of the error.

    If several mutants are at that line or near it, all are named. If none is, all mutants in that
    file are named.
    """
    for match in PLACE.finditer(f"{error.message}\n{error.detail}"):
        file, line = match[1], int(match[2])
        candidates = [
            mutant for mutant in mutants if file in mutant.files and not mutant.absent(tree.version)
        ]
        if not candidates:
            continue
        lines = git.text("show", f"{tree.commit}:{file}", cwd=git.repository(store)).splitlines()
        symbols: set[str] = set()
        for distance in range(NEAR + 1):
            around = lines[max(0, line - 1 - distance) : line + distance]
            if symbols := set(SYMBOL.findall("\n".join(around))):
                break
        near = [mutant for mutant in candidates if mutant.symbol in symbols] or candidates
        names = " or ".join(f"patches/mutants/{mutant.name}.cocci" for mutant in near)
        return BuildError(f"{names}: {error.message}", hint=error.hint, detail=error.detail)
    return error


def _weave(store: Store, tree: KernelTree, mutants: Sequence[Mutant], step: log.Step) -> str:
    files = dict.fromkeys(file for mutant in mutants for file in mutant.files)
    touched = (*files, MAKEFILE, HEADER, SOURCE)
    with git.sparse_worktree(store, tree.commit, touched) as work:
        for count, mutant in enumerate(mutants):
            step.progress(count, len(mutants), mutant.name)
            for file in mutant.files:
                _apply(work, mutant, file)
        for file in files:
            path = work / file
            _write(path, _include_header(_read(path)))
        _add_support(work, mutants)
        # By name, because `git add .` skips files outside the sparse checkout.
        git.git("add", "--sparse", "--force", *touched, cwd=work)
        git.git("commit", "--quiet", "-m", f"rig: {len(mutants)} mutants", cwd=work)
        return git.text("rev-parse", "HEAD", cwd=work)


def _apply(work: Path, mutant: Mutant, file: str) -> None:
    path = work / file
    where = f"patches/mutants/{mutant.name}.cocci"
    if not path.is_file():
        raise ConfigError(
            f"{where}: there is no {file} in this tree",
            hint="add a Not-On: line for this version to its header",
        )
    before = _read(path)
    _write(path, _patched(work, path, mutant))
    if _read(path).count(f"rig_mutant({mutant.symbol})") <= before.count(
        f"rig_mutant({mutant.symbol})"
    ):
        raise ConfigError(
            f"{where} matches nothing in {file}",
            hint="correct the semantic patch, or add a Not-On: line for this version to its header",
        )


def _patched(work: Path, path: Path, mutant: Mutant) -> str:
    """Apply the semantic patch to a file by spatch.

    It runs in the sandbox: the file may be from a series, and spatch reads .cocciconfig in the
    current directory, in the home directory and beside the file.
    """
    cocci, program = work.parent / f"{mutant.name}.cocci", proc.find("spatch")
    cocci.write_text(mutant.text)
    spatch = [str(program), "--very-quiet", "--in-place", "--sp-file", str(cocci)]
    with sandbox.scratch() as directory:
        argv = ["sh", "-c", COPY_AND, str(path), str(directory / "file"), *spatch]
        box = Box(read=(cocci, path, *sandbox.foreign(program)), write=(directory,))
        result = proc.run(sandbox.command(argv, box, unconfined=True), check=False, deadline=120)
        if number := sandbox.signal_of(result.status):
            raise InfraError(f"spatch was killed by signal {number}", detail=result.stderr[-2000:])
        if result.status:
            raise proc.fault(result) or ConfigError(
                f"patches/mutants/{mutant.name}.cocci: spatch rejects it",
                hint="`spatch --parse-cocci FILE` shows where it does not parse",
                detail=result.stderr.strip()[-2000:],
            )
        return sandbox.read(directory, "file", FILE_MAX).decode("utf-8", "surrogateescape")


def _read(path: Path) -> str:
    """Source from a series may have bytes that are not UTF-8."""
    return path.read_text("utf-8", "surrogateescape")


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8", "surrogateescape")


def _include_header(text: str) -> str:
    """Add our #include after the first #include, so that it is before all code."""
    return re.sub(
        r"^(#include [<\"].*)$",
        r"\1\n#include <linux/rig_mutant.h>",
        text,
        count=1,
        flags=re.MULTILINE,
    )


def _add_support(work: Path, mutants: Sequence[Mutant]) -> None:
    members = "\n".join(f"\tRIG_MUTANT_{mutant.symbol}," for mutant in mutants)
    names = "\n".join(f'\t"{mutant.name}",' for mutant in mutants)
    (work / HEADER).parent.mkdir(parents=True, exist_ok=True)
    (work / HEADER).write_text(HEADER_TEXT.format(members=members))
    (work / SOURCE).write_text(SOURCE_TEXT.format(names=names))
    with (work / MAKEFILE).open("a") as makefile:
        makefile.write("\nobj-y += rig_mutant.o\n")
