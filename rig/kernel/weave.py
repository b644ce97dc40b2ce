# SPDX-License-Identifier: GPL-2.0-only
"""Mutants into a tree: one instrumented commit that holds all of them, each behind a number.

The instrumentation is a header, one object in mm/ and the woven files, so clean and instrumented
trees differ in a handful of files and one lane serves both.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rig import git, log, proc
from rig.errors import BuildError, ConfigError
from rig.kernel import sandbox
from rig.kernel.mutant import Mutant
from rig.kernel.sandbox import Box
from rig.kernel.tree import KernelTree, tree_of
from rig.store import Store, digest

HEADER = "include/linux/rig_mutant.h"
SOURCE = "mm/rig_mutant.c"
MAKEFILE = "mm/Makefile"
PLACE = re.compile(r"(?:^|[\s/])((?:\w+/)+[\w-]+\.[ch]):(\d+)")
"""Where the compiler is: mm/rmap.c:1234."""
SYMBOL = re.compile(r"rig_mutant\((\w+)\)")
COPY_AND, FILE_MAX = 'file=$1; cp "$0" "$1" && shift && exec "$@" "$file"', 16 << 20
NEAR = 5
"""Lines. A statement that a mutant was woven into is not longer."""

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
    """The line of the console that proves a mutant is switched on."""
    return f"rig: mutant {name} is on"


def instrument(store: Store, tree: KernelTree, mutants: Sequence[Mutant]) -> KernelTree:
    """The tree with every mutant that applies to its version woven in.

    Raises ConfigError, naming the file, for one that does not parse or matches nothing.
    """
    woven = [mutant for mutant in mutants if not mutant.absent(tree.version)]
    inputs = {
        "tree": tree.tree,
        "mutants": {mutant.name: mutant.text for mutant in woven},
        "support": HEADER_TEXT + SOURCE_TEXT,
    }
    name = digest(inputs)

    def weave(_: Path) -> dict[str, str]:
        with log.step(f"Weaving {len(woven)} mutants into {tree.label}") as step:
            commit = _weave(store, tree, woven, step)
        git.keep(store, f"instrumented/{name}", commit)
        return {"commit": commit, "label": tree.label}

    store.make("instrumented", name, inputs, weave)
    commit = store.manifest("instrumented", name)["commit"]
    return replace(
        tree, label=f"{tree.label}, instrumented", commit=commit, tree=tree_of(store, commit)
    )


def blame(
    store: Store, tree: KernelTree, mutants: Sequence[Mutant], error: BuildError
) -> BuildError:
    """An instrumented tree's error, with the mutant at whose place the compiler stopped.

    Of several on that line or next to it any may be it, so all are named; where there is none, all
    that are woven into that file.
    """
    for match in PLACE.finditer(f"{error.message}\n{error.detail}"):
        file, line = match[1], int(match[2])
        here = [one for one in mutants if file in one.files and not one.absent(tree.version)]
        if not here:
            continue
        lines = git.text("show", f"{tree.commit}:{file}", cwd=git.repository(store)).splitlines()
        found: set[str] = set()
        for distance in range(NEAR + 1):
            around = lines[max(0, line - 1 - distance) : line + distance]
            if found := set(SYMBOL.findall("\n".join(around))):
                break
        near = [one for one in here if one.symbol in found] or here
        names = " or ".join(f"patches/mutants/{one.name}.cocci" for one in near)
        return BuildError(f"{names}: {error.message}", hint=error.hint, detail=error.detail)
    return error


def _weave(store: Store, tree: KernelTree, mutants: Sequence[Mutant], step: log.Step) -> str:
    files = dict.fromkeys(file for mutant in mutants for file in mutant.files)
    touched = (*files, MAKEFILE, HEADER, SOURCE)
    with git.sparse_worktree(store, tree.commit, touched) as work:
        for done, mutant in enumerate(mutants):
            step.progress(done, len(mutants), mutant.name)
            for file in mutant.files:
                _apply(work, mutant, file)
        for file in files:
            path = work / file
            _write(path, _include_header(_read(path)))
        _add_support(work, mutants)
        # By name: what the work tree does not show, `git add .` does not see.
        git.git("add", "--sparse", "--force", *touched, cwd=work)
        git.git("commit", "--quiet", "-m", f"rig: {len(mutants)} mutants", cwd=work)
        return git.text("rev-parse", "HEAD", cwd=work)


def _apply(work: Path, mutant: Mutant, file: str) -> None:
    path = work / file
    where = f"patches/mutants/{mutant.name}.cocci"
    if not path.is_file():
        raise ConfigError(f"{where}: there is no {file} in this tree", hint="say so with Not-On:")
    before = _read(path)
    _write(path, _patched(work, path, mutant))
    if _read(path).count(f"rig_mutant({mutant.symbol})") <= before.count(
        f"rig_mutant({mutant.symbol})"
    ):
        raise ConfigError(
            f"{where} matches nothing in {file}", hint="say so with Not-On: if it is meant to be so"
        )


def _patched(work: Path, path: Path, mutant: Mutant) -> str:
    """What spatch makes of a file. Boxed: it reads a stranger's text, and a .cocciconfig where it
    is started, in the user's home and beside the file."""
    cocci, program = work.parent / f"{mutant.name}.cocci", proc.find("spatch")
    cocci.write_text(mutant.text)
    spatch = [str(program), "--very-quiet", "--in-place", "--sp-file", str(cocci)]
    with sandbox.scratch() as made:
        argv = ["sh", "-c", COPY_AND, str(path), str(made / "file"), *spatch]
        box = Box(read=(cocci, path, *sandbox.foreign(program)), write=(made,))
        done = proc.run(sandbox.command(argv, box, unconfined=True), check=False, deadline=120)
        if done.status:
            raise ConfigError(
                f"patches/mutants/{mutant.name}.cocci: spatch does not take it",
                detail=done.stderr.strip()[-2000:],
            )
        return sandbox.read(made, "file", FILE_MAX).decode("utf-8", "surrogateescape")


def _read(path: Path) -> str:
    """A stranger's source, which need not be UTF-8."""
    return path.read_text("utf-8", "surrogateescape")


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8", "surrogateescape")


def _include_header(text: str) -> str:
    """Include our header after the first #include, which is before anything that could use it."""
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
