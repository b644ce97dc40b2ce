# SPDX-License-Identifier: GPL-2.0-only
"""Writes histories of commits over v6.12, for a bisection of real kernels.

The repository is bare and stays in the store: the rig borrows its objects, and a lane's work tree
has the last commit that was built. Dates are fixed, so the commits are the same every time.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rig import git
from rig.kernel import base
from rig.store import Store

Edit = tuple[str, str]
"""A text of a file, and what replaces its first occurrence."""


@dataclass(frozen=True)
class Repository:
    path: Path
    first: str
    """v6.12."""

    @classmethod
    def of(cls, store: Store) -> "Repository":
        first = base.resolve(store, "v6.12").commit
        path = store.root / "tests" / "bisect.git"
        if not (path / "HEAD").is_file():
            subprocess.run(["git", "init", "--quiet", "--bare", path], check=True)
        alternates = path / "objects" / "info" / "alternates"
        alternates.write_text(f"{git.repository(store) / 'objects'}\n")
        return cls(path=path, first=first)

    def git(self, *words: str, stdin: str | None = None) -> str:
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (
            ("NAME", "Ada Example"), ("EMAIL", "ada@example.org"), ("DATE", "1700000000 +0000"),
        )}  # fmt: skip
        env = {**os.environ, **who, "GIT_INDEX_FILE": str(self.path / "index")}
        done = subprocess.run(
            ["git", *words], cwd=self.path, env=env, input=stdin, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        return done.stdout if words[0] == "show" else done.stdout.strip()

    def commit(self, subject: str, edits: Mapping[str, Edit], *parents: str) -> str:
        """The commit that makes these edits to its first parent. A merge has the edits of all."""
        self.git("read-tree", parents[0])
        for path, (before, after) in edits.items():
            text = self.git("show", f"{parents[0]}:{path}")
            assert before in text, f"{path} has no {before!r}"
            blob = self.git("hash-object", "-w", "--stdin", stdin=text.replace(before, after, 1))
            self.git("update-index", "--cacheinfo", f"100644,{blob},{path}")
        tree = self.git("write-tree")
        above = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *above, "-m", subject)

    def line(self, commits: Sequence[tuple[str, Mapping[str, Edit]]], first: str) -> list[str]:
        """Commits one after the other."""
        names = []
        for subject, edits in commits:
            first = self.commit(subject, edits, first)
            names.append(first)
        return names


def appended(path: str, text: str) -> dict[str, Edit]:
    """Something new in a file, after its first include: it changes the object."""
    return {path: ("#include <", f"{text}\n#include <")}


def variable(path: str, name: str) -> dict[str, Edit]:
    return appended(path, f"extern unsigned long {name}; unsigned long {name} = 1;")


def message(path: str, before: str) -> dict[str, Edit]:
    """Another wording of a message."""
    return {path: (before, f"{before}rig: ")}
