# SPDX-License-Identifier: GPL-2.0-only
"""Which base a series is applied to, on two kernels in miniature: v6.12 and a v7.2 that differs."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rig import git
from rig.errors import ApplyError, ConfigError
from rig.kernel import base, basefinder, tree
from rig.kernel.base import Base
from rig.kernel.tree import TreeSpec
from rig.log import Event
from rig.series import model, rfc822
from rig.series.model import SeriesVersion
from rig.store import Store
from rig.suites import suite

DATA = Path(__file__).parents[2] / "data"
SHELF = DATA / "mbx" / "shelf"
KERNEL = DATA / "kernel"


def keep(store: Store, name: str, commit: str) -> Base:
    facts = {"commit": commit, "origin": "tests/data/kernel"}
    store.make("bases", name, {"base": name}, lambda _: facts)
    return base.resolve(store, name)


@pytest.fixture
def bases(store: Store, base: Base, kernel: Path) -> dict[str, Base]:
    """v7.2's mm/vmscan.c begins with another line."""
    file = kernel / "mm" / "vmscan.c"
    file.write_text(f"/* v7.2 */\n{file.read_text()}")
    newer = git.import_tree(store, kernel, "v7.2\n")
    return {"v6.12": keep(store, "v6.12", base.commit), "v7.2": keep(store, "v7.2", newer)}


@pytest.fixture
def v2() -> SeriesVersion:
    return model.load(SHELF, "unmap-batch", 2)


def notes(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if event.kind == "note")


def rewritten(series: SeriesVersion, old: bytes, new: bytes) -> SeriesVersion:
    patches = tuple(replace(patch, mail=patch.mail.replace(old, new)) for patch in series.patches)
    return replace(series, base="", patches=patches)


def test_the_bases_that_are_here_newest_first(store: Store, bases: dict[str, Base]) -> None:
    assert [fetched.name for fetched in base.fetched(store)] == ["v7.2", "v6.12"]


def test_a_release_that_is_named(
    store: Store, bases: dict[str, Base], v2: SeriesVersion, events: list[Event]
) -> None:
    assert basefinder.base_of(store, v2).name == "v6.12"
    assert "unmap-batch@v2: its base-commit adc218676eef is v6.12" in notes(events)
    assert basefinder.base_of(store, v2, name="v7.2").name == "v7.2"


def test_the_blobs_it_was_made_from(
    store: Store, bases: dict[str, Base], v2: SeriesVersion, events: list[Event]
) -> None:
    files = tuple(dict.fromkeys(file for patch in v2.patches for file in patch.files))
    blobs = basefinder.preimages(v2.patches)
    assert set(blobs) <= set(files)
    real = {
        file: git.text("rev-parse", f"{bases['v7.2'].commit}:{file}", cwd=git.repository(store))
        for file in blobs
    }
    made_on_v72 = v2
    for file, blob in blobs.items():
        made_on_v72 = rewritten(made_on_v72, blob.encode(), real[file][: len(blob)].encode())
    chosen = basefinder.base_of(store, replace(made_on_v72, base="0123456789"))
    assert chosen.name == "v7.2"
    assert f"v7.2 has all {len(blobs)} blobs" in notes(events)
    assert "base-commit 0123456789 is not a known base" in notes(events)
    assert basefinder.base_of(store, replace(v2, base="")).name == "v6.12", "v7.2 has but some"


def test_the_newest_it_applies_to(
    store: Store, bases: dict[str, Base], v2: SeriesVersion, events: list[Event]
) -> None:
    nowhere = rewritten(v2, b"\nindex ", b"\nindex 1")
    assert basefinder.base_of(store, nowhere).name == "v7.2"
    assert "v7.2 is the newest base here that it applies to" in notes(events)
    assert "it names no base-commit" in notes(events)


def test_new_files_are_made_from_no_blobs_which_is_said_once(
    store: Store, bases: dict[str, Base], shelf: Path, events: list[Event]
) -> None:
    upper = replace(model.load(shelf, "upper"), needs=())
    assert basefinder.preimages(upper.patches) == {}
    assert basefinder.base_of(store, upper).name == "v7.2"
    assert notes(events).splitlines() == [
        "upper@v1: its diffs have no index lines, which name blobs",
        "upper@v1: it names no base-commit; v7.2 is the newest base here that it applies to",
    ]


def test_where_it_applies_nowhere_the_default_is_to_say_so(
    store: Store, bases: dict[str, Base], v2: SeriesVersion, events: list[Event]
) -> None:
    nowhere = rewritten(rewritten(v2, b"\nindex ", b"\nindex 1"), b"\n int ", b"\n unt ")
    assert basefinder.base_of(store, nowhere).name == base.DEFAULT
    assert "it applies to none of v7.2, v6.12" in notes(events)


# With a git tree of the user's


@pytest.fixture
def theirs(kernel: Path, bases: dict[str, Base]) -> Path:
    """Their HEAD is v7.2, and a commit before it is v6.12, without a tag."""
    for words in (
        *(["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "7.2"]),
        ["checkout", "--quiet", "-b", "old"],
    ):
        git.git(*words, cwd=kernel)
    shutil.copy(KERNEL / "mm" / "vmscan.c", kernel / "mm" / "vmscan.c")
    git.git("commit", "--quiet", "-a", "-m", "6.12", cwd=kernel)
    git.git("checkout", "--quiet", "-", cwd=kernel)
    return kernel


def test_the_base_commit_comes_before_their_head(
    store: Store, bases: dict[str, Base], v2: SeriesVersion, theirs: Path, events: list[Event]
) -> None:
    assert basefinder.base_of(store, v2, tree=theirs) == bases["v6.12"]
    assert "its base-commit adc218676eef is v6.12" in notes(events)
    assert f"{theirs} does not have v6.12" in notes(events)
    git.git("tag", "v6.12", "old", cwd=theirs)
    chosen = basefinder.base_of(store, v2, tree=theirs)
    assert (chosen.name, chosen.commit) == ("v6.12", git.text("rev-parse", "old", cwd=theirs))
    assert f"{theirs} has v6.12" in notes(events)
    commit = git.text("rev-parse", "old", cwd=theirs)
    chosen = basefinder.base_of(store, replace(v2, base=commit), tree=theirs)
    assert chosen.commit == chosen.name == commit
    assert f"{theirs} has unmap-batch@v2's base-commit {commit[:12]}" in notes(events)
    named = basefinder.base_of(store, v2, name="HEAD", tree=theirs)
    assert named.commit == git.text("rev-parse", "HEAD", cwd=theirs), "who names one insists"


def test_a_commit_that_only_a_mail_names_is_not_trusted(
    store: Store, bases: dict[str, Base], v2: SeriesVersion, theirs: Path, events: list[Event]
) -> None:
    """It may be of a stranger's branch, which the user has fetched."""
    commit = git.text("rev-parse", "old", cwd=theirs)
    says = replace(v2, base=commit)
    assert not basefinder.base_of(store, says, tree=theirs).trusted
    assert f"it is not in the history of {theirs}'s HEAD" in notes(events)
    assert basefinder.base_of(store, says, name=commit, tree=theirs).trusted, "the user names it"
    named = basefinder.base_of(store, replace(v2, base="old"), tree=theirs)
    assert named.commit != commit, "a name is no commit"
    git.git("checkout", "--quiet", "old", cwd=theirs)
    assert basefinder.base_of(store, says, tree=theirs).trusted
    # Nor is one that a night has fetched.
    clone = theirs.with_name("clone")
    git.git(
        "clone", "--quiet", theirs, clone, cwd=theirs.parent, env={"GIT_ALLOW_PROTOCOL": "file"}
    )
    git.git("commit", "--quiet", "--allow-empty", "-m", "new", cwd=theirs)
    new = git.text("rev-parse", "HEAD", cwd=theirs)
    git.fetch(store, clone, "origin")
    chosen = basefinder.base_of(store, replace(v2, base=new), tree=clone)
    assert (chosen.commit, chosen.trusted) == (new, False)


@pytest.mark.parametrize("named", ["v6.12", "v6.99", "adc218676eef25575469234709c2d87185ca223a"])
def test_a_tag_that_only_a_mail_names_is_not_trusted(
    store: Store, bases: dict[str, Base], v2: SeriesVersion, theirs: Path, named: str
) -> None:
    """`git fetch` of a stranger's branch brings the stranger's tags."""
    tag = named if named.startswith("v") else "v6.12"
    git.git("tag", tag, "old", cwd=theirs)
    says = replace(v2, base=named)
    chosen = basefinder.base_of(store, says, tree=theirs)
    assert (chosen.commit, chosen.trusted) == (git.text("rev-parse", "old", cwd=theirs), False)
    assert basefinder.base_of(store, says, name=tag, tree=theirs).trusted, "the user names it"
    git.git("checkout", "--quiet", "old", cwd=theirs)
    assert basefinder.base_of(store, says, tree=theirs).trusted


def test_their_head_is_asked_first_for_blobs_and_whether_it_applies(
    store: Store, bases: dict[str, Base], v2: SeriesVersion, theirs: Path, events: list[Event]
) -> None:
    head = git.text("rev-parse", "HEAD", cwd=theirs)
    nameless = replace(v2, base="")
    assert basefinder.base_of(store, nameless, tree=theirs).name == "v6.12", (
        "their HEAD has but some"
    )
    assert f"HEAD of {theirs} has 2 of the 3 blobs" in notes(events)
    assert "it names no base-commit; v6.12 has all 3 blobs" in notes(events)
    nowhere = replace(rewritten(v2, b"\nindex ", b"\nindex 1"), base="0123456789")
    assert basefinder.base_of(store, nowhere, tree=theirs).commit == head
    text = notes(events)
    assert f"{theirs} does not have unmap-batch@v2's base-commit 0123456789" in text
    assert f"is not a known base; it applies to HEAD of {theirs}" in text
    git.git("checkout", "--quiet", "old", cwd=theirs)
    assert basefinder.base_of(store, nameless, tree=theirs).origin.startswith(f"git tree {theirs}")
    assert f"it names no base-commit; HEAD of {theirs} has all 3 blobs" in notes(events)


def test_a_head_it_does_not_apply_to_is_passed_over_or_says_why_not(
    store: Store, bases: dict[str, Base], v2: SeriesVersion, theirs: Path, events: list[Event]
) -> None:
    (theirs / "mm" / "vmscan.c").write_text("int nothing_of_it;\n")
    git.git("commit", "--quiet", "-a", "-m", "another", cwd=theirs)
    nowhere = rewritten(v2, b"\nindex ", b"\nindex 1")
    assert basefinder.base_of(store, nowhere, tree=theirs).name == "v7.2"
    assert f"unmap-batch@v2 does not apply to HEAD of {theirs}" in notes(events)
    broken = rewritten(nowhere, b"\n int ", b"\n unt ")
    assert basefinder.base_of(store, broken, tree=theirs).name == "HEAD"
    assert f"it applies to none of HEAD of {theirs}, v7.2, v6.12" in notes(events)


@pytest.mark.parametrize("name", ["", "v6.12"])
def test_what_is_no_git_tree_is_said(
    store: Store, v2: SeriesVersion, kernel: Path, name: str, events: list[Event]
) -> None:
    with pytest.raises(ConfigError, match=r"^--tree .*/kernel is not a git tree$"):
        basefinder.base_of(store, v2, tree=kernel, name=name)
    with pytest.raises(ConfigError, match=r"^--tree .*/gone: there is no such directory$"):
        basefinder.base_of(store, v2, tree=kernel / "gone", name=name)
    assert not notes(events)


def test_what_does_not_apply_says_where_it_does(
    store: Store, bases: dict[str, Base], v2: SeriesVersion, kernel: Path
) -> None:
    (kernel / "mm" / "vmscan.c").write_text("int nothing_of_it;\n")
    other = keep(store, "v8.0", git.import_tree(store, kernel, "v8.0\n"))
    with pytest.raises(ApplyError, match=r"does not apply to v8\.0") as error:
        tree.materialize(store, TreeSpec(base=other, series=v2))
    assert error.value.hint == "it applies to v7.2: use --base v7.2"


# A series on top of another


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """v2 of the tests' series in two: its last patch goes on top of its others."""
    whole = (SHELF / "unmap-batch" / "v2.mbx").read_bytes()
    top = tmp_path / "shelf"
    for name in ("lower", "upper"):
        (top / name).mkdir(parents=True)
    (top / "lower" / "v2.mbx").write_bytes(whole)
    mail = (
        b"From git Thu Jan  1 00:00:00 1970\n"
        b"From: A <a@example.org>\nSubject: [PATCH 0/1] more\nMessage-ID: <more@example.org>\n\n"
        b"More.\n\nprerequisite-change-id: CHANGE:v2\n\n"
        b"From git Thu Jan  1 00:00:00 1970\n"
        b"From: A <a@example.org>\nSubject: [PATCH 1/1] mm: a file more\n\nMore.\n---\n"
        b"diff --git a/mm/more.c b/mm/more.c\nnew file mode 100644\n"
        b"index 000000000000..7898192261b6\n"
        b"--- /dev/null\n+++ b/mm/more.c\n@@ -0,0 +1 @@\n+int more;\n"
    )
    change = model.load(top, "lower", 2).change_id
    (top / "upper" / "v1.mbx").write_bytes(mail.replace(b"CHANGE", change.encode()))
    return top


def test_a_series_on_top_of_another(
    store: Store, bases: dict[str, Base], shelf: Path, events: list[Event]
) -> None:
    upper = model.load(shelf, "upper")
    below = model.beneath(shelf, upper)
    assert [series.label for series in below] == ["lower@v2"]
    chosen = basefinder.base_of(store, upper, below=below)
    assert chosen.name == "v6.12", "as the lower one says"
    spec = TreeSpec(base=chosen, series=upper, below=below)
    assert spec.label == "lower@v2 + upper@v1 on v6.12"
    assert [patch.subject for patch in spec.own] == ["mm: a file more"]
    applied = tree.materialize(store, spec)
    lower = tree.materialize(store, replace(spec, series=None))
    repo = git.repository(store)
    names = git.text("diff", "--name-only", lower.commit, applied.commit, cwd=repo)
    assert names == "mm/more.c"
    assert lower.tree == tree.materialize(store, TreeSpec(base=chosen, series=below[0])).tree


def test_a_series_on_top_of_one_that_is_not_here(shelf: Path) -> None:
    (shelf / "lower" / "v2.mbx").unlink()
    with pytest.raises(ConfigError, match=r"upper@v1 goes on top of .*, v2, which is not in"):
        model.beneath(shelf, model.load(shelf, "upper"))


# What a cover letter promises


def test_a_promise_holds_with_the_whole_series(base: Base, v2: SeriesVersion, shelf: Path) -> None:
    upper = model.load(shelf, "upper")
    promising = replace(v2, promises=("madv_free/split_deferred_zero",))
    assert TreeSpec(base=base, series=promising).promises == ("madv_free/split_deferred_zero",)
    assert TreeSpec(base=base, series=promising, upto=3).promises
    assert not TreeSpec(base=base, series=promising, upto=2).promises
    assert TreeSpec(base=base, series=upper, below=(promising,)).promises
    path = shelf / "upper" / "v1.mbx"
    path.write_bytes(path.read_bytes().replace(b"More.\n\n", b"More.\n\nPromises: a/b\n", 1))
    assert model.load(shelf, "upper").promises == ("a/b",)


# The checkout's own shelf

PATCHES = Path(__file__).parents[3] / "patches"


@pytest.mark.parametrize("name", model.names(PATCHES))
def test_a_series_of_ours_is_whole(name: str) -> None:
    """What it goes on top of is there, what it promises are cases, and it says what it is."""
    for number in model.revisions(PATCHES, name):
        for series in (model.load(PATCHES, name, number, where) for where in ("", "v7.2")):
            assert base.named(series.base)
            assert len(model.beneath(PATCHES, series)) == len(series.needs)
            suite.check_promises(series.promises)
            assert "the rig's" in series.cover
            assert all("Signed-off-by: " in rfc822.body_of(patch.mail) for patch in series.patches)
