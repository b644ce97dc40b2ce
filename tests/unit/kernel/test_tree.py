# SPDX-License-Identifier: GPL-2.0-only
"""Series of tests/data/mbx on tests/data/kernel, with git as it is."""

import base64
import quopri
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig import git
from rig.errors import ApplyError, ConfigError, InfraError
from rig.kernel import base as bases
from rig.kernel import tree
from rig.kernel.base import Base
from rig.kernel.tree import KernelTree, TreeSpec
from rig.log import Event
from rig.series import model, rfc822
from rig.series.model import SeriesVersion
from rig.store import Store

MBX = Path(__file__).parents[2] / "data" / "mbx"


@pytest.fixture
def v2() -> SeriesVersion:
    return model.load(MBX / "shelf", "unmap-batch", 2)


def files(store: Store, result: KernelTree) -> set[str]:
    shown = git.text("ls-tree", "-r", "--name-only", result.commit, cwd=git.repository(store))
    return set(shown.splitlines())


def show(store: Store, result: KernelTree, path: str) -> str:
    return git.git("show", f"{result.commit}:{path}", cwd=git.repository(store)).stdout


def rewritten(store: Store, kernel: Path, changes: dict[str, tuple[str, str]]) -> Base:
    """Another base: the kernel with other text in some files."""
    for name, (old, new) in changes.items():
        text = (kernel / name).read_text()
        assert old in text
        (kernel / name).write_text(text.replace(old, new))
    commit = git.import_tree(store, kernel, "v9.9\n")
    return Base(name="v9.9", commit=commit, origin="test")


# Labels and selections


def test_labels(base: Base, v2: SeriesVersion) -> None:
    assert TreeSpec(base=base).label == "v6.12"
    assert TreeSpec(base=base, series=v2).label == "unmap-batch@v2 on v6.12"
    assert TreeSpec(base=base, series=v2, upto=2).label == "unmap-batch@v2:2 on v6.12"


def test_selections(base: Base, v2: SeriesVersion) -> None:
    assert TreeSpec(base=base).patches == ()
    assert TreeSpec(base=base, series=v2).patches == v2.patches
    assert TreeSpec(base=base, series=v2, upto=1).patches == v2.patches[:1]


@pytest.mark.parametrize("upto", [0, 4])
def test_a_part_that_is_not_there_is_never_the_whole(
    base: Base, v2: SeriesVersion, upto: int
) -> None:
    with pytest.raises(ConfigError, match=f"patches 1 to 3, not {upto}"):
        assert TreeSpec(base=base, series=v2, upto=upto).patches


# Applying


def test_a_base_is_its_own_commit(store: Store, base: Base) -> None:
    result = tree.materialize(store, TreeSpec(base=base))
    assert (result.label, result.base, result.commit) == ("v6.12", base, base.commit)
    shown = git.text("cat-file", "-p", base.commit, cwd=git.repository(store))
    assert shown.startswith(f"tree {result.tree}\n")
    assert str(result.version) == "6.12"


def test_a_series_is_applied_once(
    store: Store, base: Base, v2: SeriesVersion, events: list[Event]
) -> None:
    spec = TreeSpec(base=base, series=v2)
    result = tree.materialize(store, spec)
    assert result.label == "unmap-batch@v2 on v6.12"
    assert "tlb_ubc.pending++" in show(store, result, "mm/rmap.c")
    assert "mm/unmap_batch.c" in files(store, result)
    assert not {"mm/batch.c", "mm/old.c"} & files(store, result)
    log = git.text("log", "--reverse", "--format=%an|%s", result.commit, cwd=git.repository(store))
    assert log.splitlines() == [
        "rig|v6.12",
        "Zoë Müller|mm/rmap: count what is pending",
        "Zoë Müller|mm/vmscan: flush once a batch",
        "Zoë Müller|mm: give the batch its file's name",
    ]
    events.clear()
    assert tree.materialize(store, spec) == result
    assert not [event for event in events if event.kind == "command" and " am " in event.text]
    assert list((git.repository(store) / "worktrees").glob("*")) == []


def test_the_first_patches_of_a_series(store: Store, base: Base, v2: SeriesVersion) -> None:
    commits = [
        tree.materialize(store, TreeSpec(base=base, series=v2, upto=upto)).commit
        for upto in (1, 2, 3, None)
    ]
    assert len(set(commits)) == 3
    assert commits[2] == commits[3]
    parents = git.text("rev-list", commits[3], cwd=git.repository(store)).splitlines()
    assert parents == [*reversed(commits[:3]), base.commit]


def test_the_same_mails_on_the_same_base_are_the_same_commit(
    store: Store, base: Base, v2: SeriesVersion, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whoever applies them, and whenever; hooks and signatures are not asked for."""
    spec = TreeSpec(base=base, series=v2)
    mine = tree.materialize(store, spec)
    (tmp_path / "other").mkdir()
    other = Store(tmp_path / "other")
    shutil.copytree(store.root / "linux.git", other.root / "linux.git")
    home = request.getfixturevalue("hostile")
    assert tree.materialize(other, spec).commit == mine.commit
    assert not (home / "tripped").exists()


@pytest.mark.parametrize("name", ["single", "quoted-printable", "base64"])
def test_mails_in_any_encoding_are_the_same_patch(store: Store, base: Base, name: str) -> None:
    result = tree.materialize(store, TreeSpec(base=base, series=model.read(MBX / f"{name}.mbx")))
    v2 = model.load(MBX / "shelf", "unmap-batch", 2)
    first = tree.materialize(store, TreeSpec(base=base, series=v2, upto=1))
    assert result.tree == first.tree


ENCODE: dict[str, Callable[[bytes], bytes]] = {
    "8bit": lambda body: body,
    "base64": base64.encodebytes,
    "quoted-printable": lambda body: quopri.encodestring(body.replace(b"\r", b"")).replace(
        b"\n", b"=0D\n"
    ),
}


def recoded(path: Path, encoding: str, body: bytes) -> bytes:
    head = path.read_bytes().partition(b"\n\n")[0]
    return head.replace(b"base64", encoding.encode()) + b"\n\n" + ENCODE[encoding](body)


@pytest.mark.parametrize("encoding", ENCODE)
def test_line_ends_of_a_mailer_are_not_the_patchs_in_any_encoding(
    store: Store, base: Base, encoding: str
) -> None:
    path = MBX / "base64.mbx"
    (plain,) = model.read(path).patches
    body = rfc822.body_of(plain.mail).encode().replace(b"\n", b"\r\n")
    series = model.parse("s", recoded(path, encoding, body))
    (patch,) = series.patches
    assert b"\r\n" in patch.mail or encoding != "8bit"
    assert rfc822.body_of(patch.mail) == rfc822.body_of(plain.mail)
    result = tree.materialize(store, TreeSpec(base=base, series=series))
    assert result.tree == tree.materialize(store, TreeSpec(base=base, series=model.read(path))).tree


@pytest.mark.parametrize("encoding", ["8bit", "base64"])
def test_line_ends_of_a_patch_are_its_own(store: Store, base: Base, encoding: str) -> None:
    body = (
        b"A file of another system.\n---\ndiff --git a/mm/dos.txt b/mm/dos.txt\n"
        b"new file mode 100644\n--- /dev/null\n+++ b/mm/dos.txt\n@@ -0,0 +1,2 @@\n+a\r\n+b\r\n"
    )
    series = model.parse("s", recoded(MBX / "base64.mbx", encoding, body))
    result = tree.materialize(store, TreeSpec(base=base, series=series))
    blob = git.text("rev-parse", f"{result.commit}:mm/dos.txt", cwd=git.repository(store))
    assert git.text("cat-file", "-s", blob, cwd=git.repository(store)) == str(len("a\r\nb\r\n"))


EVIL = "--- /dev/null\n+++ b/evil.c\n@@ -0,0 +1 @@\n+evil\n"
PARTS = {
    "an attachment": "--b\n\n{text}\n--b\nContent-Type: text/x-patch\n\n{evil}\n--b--\n",
    "one before": "--b\nContent-Type: text/x-patch\n\n{evil}\n--b\n\n{text}\n--b--\n",
    "bytes": "--b\n\n{text}\n--b\nContent-Type: application/x\n\n{evil}\n--b--\n",
    "HTML": "--b\n\n{text}\n--b\nContent-Type: text/html\n\n{evil}\n--b--\n",
    "a mail": "--b\n\n{text}\n--b\nContent-Type: message/rfc822\n\na: b\n\n{evil}\n--b--\n",
    "encoded": "--b\n\n{text}\n--b\nContent-Transfer-Encoding: base64\n\n{base64}\n--b--\n",
}


def parts(name: str, header: str) -> SeriesVersion:
    """tests/data/mbx/single.mbx with another part."""
    (plain,) = model.read(MBX / "single.mbx").patches
    encoded = base64.encodebytes(EVIL.encode()).decode()
    body = PARTS[name].format(text=rfc822.body_of(plain.mail), evil=EVIL, base64=encoded)
    head = rfc822.FROM + plain.mail.partition(b"MIME-Version")[0]
    return model.parse("s", head + f"{header}\n\n{body}".encode())


@pytest.mark.parametrize("name", PARTS)
def test_what_another_part_of_a_mail_has_is_not_applied(
    store: Store, base: Base, name: str
) -> None:
    """git am would take it; it is neither read here nor shown as the patch."""
    series = parts(name, 'Content-Type: multipart/mixed; boundary="b"')
    result = tree.materialize(store, TreeSpec(base=base, series=series))
    first = model.read(MBX / "single.mbx")
    assert result.tree == tree.materialize(store, TreeSpec(base=base, series=first)).tree


@pytest.mark.parametrize(
    "header",
    ['text/plain; boundary="b"', "=?utf-8?q?multipart/mixed=3B_=62oundary=3Db?="],
    ids=["of a type without parts", "encoded"],
)
def test_parts_that_only_git_sees_are_not_decoded(store: Store, base: Base, header: str) -> None:
    """What is encoded in them is no patch to the rig, which takes the mail for one text."""
    result = tree.materialize(
        store, TreeSpec(base=base, series=parts("encoded", f"Content-Type: {header}"))
    )
    assert "evil.c" not in files(store, result)


def test_context_that_has_changed_is_merged(
    store: Store, base: Base, kernel: Path, v2: SeriesVersion
) -> None:
    """What `git apply` refuses, as the line after the change is another, a 3-way merge can do."""
    change = ("tlb_ubc;\n\nvoid", "tlb_ubc;\n\n__visible void")
    other = rewritten(store, kernel, {"mm/rmap.c": change})
    result = tree.materialize(store, TreeSpec(base=other, series=v2))
    text = show(store, result, "mm/rmap.c")
    assert result.commit != tree.materialize(store, TreeSpec(base=base, series=v2)).commit
    assert "__visible" in text
    assert "pending++" in text


def test_a_variant_applies_to_its_base(store: Store, base: Base, kernel: Path) -> None:
    subprocess.run(["sed", "-i", "s/shrink_list/shrink_folio_list/; s/(int page)/(const int page)/",
                    kernel / "mm" / "vmscan.c"], check=True)  # fmt: skip
    other = Base(name="v9.9", commit=git.import_tree(store, kernel, "v9.9\n"), origin="test")
    plain = model.load(MBX / "shelf", "unmap-batch", 2)
    with pytest.raises(ApplyError, match="patch 2/3"):
        tree.materialize(store, TreeSpec(base=other, series=plain))
    variant = model.load(MBX / "shelf", "unmap-batch", 2, "v9.9")
    assert "mm/unmap_batch.c" in files(
        store, tree.materialize(store, TreeSpec(base=other, series=variant))
    )


# What does not apply


def test_the_hunk_that_does_not_apply_is_named_and_shown(
    store: Store, base: Base, kernel: Path, v2: SeriesVersion
) -> None:
    other = rewritten(store, kernel, {"mm/vmscan.c": ("page < to; page++", "page != to; ++page")})
    with pytest.raises(ApplyError) as bad:
        tree.materialize(store, TreeSpec(base=other, series=v2))
    assert bad.value.message == (
        "patch 2/3 (mm/vmscan: flush once a batch) does not apply to v9.9: "
        "mm/vmscan.c, the hunk at line 16"
    )
    lines = bad.value.detail.splitlines()
    assert re.match(r"@@ -16,8 \+\d+,11 @@ int shrink_list", lines[0])
    assert "-\tfor (page = from; page < to; page++)" in lines
    assert "--base" in bad.value.hint
    assert list((git.repository(store) / "worktrees").glob("*")) == []
    assert list((store.root / "tmp").iterdir()) == []
    assert list((store.root / "trees").iterdir()) == []


def test_a_series_that_was_applied_before_it_is_applied(
    store: Store, base: Base, v2: SeriesVersion, events: list[Event]
) -> None:
    """Its own result as base: git takes what is there already for applied, which is said."""
    done = tree.materialize(store, TreeSpec(base=base, series=v2, upto=2)).commit
    again = TreeSpec(base=replace(base, commit=done), series=v2)
    assert (
        tree.materialize(store, again).tree
        == tree.materialize(store, replace(again, base=base)).tree
    )
    assert "v6.12 already has 2 of its patches" in [event.text for event in events]


def test_two_sides_of_a_conflict_are_not_both_taken(
    store: Store, base: Base, kernel: Path, v2: SeriesVersion
) -> None:
    """As merge=union, which needs no configuration, takes them."""
    (kernel / ".gitattributes").write_text("*.c merge=union\n")
    other = rewritten(store, kernel, {"mm/vmscan.c": ("page < to; page++", "page != to; ++page")})
    with pytest.raises(ApplyError, match="patch 2/3"):
        tree.materialize(store, TreeSpec(base=other, series=v2))


def test_a_file_that_is_not_there(
    store: Store, base: Base, kernel: Path, v2: SeriesVersion
) -> None:
    (kernel / "mm" / "rmap.c").unlink()
    other = Base(name="v9.9", commit=git.import_tree(store, kernel, "v9.9\n"), origin="test")
    with pytest.raises(ApplyError, match=r"patch 1/3 .* mm/rmap\.c is not in v9\.9$"):
        tree.materialize(store, TreeSpec(base=other, series=v2))


def test_a_file_that_is_there_already(
    store: Store, base: Base, kernel: Path, v2: SeriesVersion
) -> None:
    (kernel / "mm" / "batch.c").write_text("int already;\n")
    other = Base(name="v9.9", commit=git.import_tree(store, kernel, "v9.9\n"), origin="test")
    with pytest.raises(
        ApplyError, match=r"patch 2/3 .* it adds mm/batch\.c, which exists there already$"
    ):
        tree.materialize(store, TreeSpec(base=other, series=v2))


def test_a_single_patch_is_the_first_of_one(store: Store, base: Base, kernel: Path) -> None:
    other = rewritten(store, kernel, {"mm/rmap.c": ("flush_required", "flush_needed")})
    with pytest.raises(ApplyError, match=r"^patch 1/1 .*: mm/rmap\.c, the hunk at line 8$"):
        tree.materialize(store, TreeSpec(base=other, series=model.read(MBX / "single.mbx")))


def test_it_is_tried_again_after_a_failure(
    store: Store, base: Base, kernel: Path, v2: SeriesVersion
) -> None:
    other = rewritten(store, kernel, {"mm/rmap.c": ("flush_required", "flush_needed")})
    for _ in range(2):
        with pytest.raises(ApplyError, match="patch 1/3"):
            tree.materialize(store, TreeSpec(base=other, series=v2))
    assert tree.materialize(store, TreeSpec(base=base, series=v2)).commit


# The user's own tree


def state(path: Path) -> dict[str, Any]:
    """Refs, HEAD, status, and every file with its content."""
    words = (
        ["for-each-ref"],
        ["rev-parse", "HEAD"],
        ["status", "--porcelain"],
        ["worktree", "list"],
    )
    outputs = [git.git(*command, cwd=path).stdout for command in words]
    content = {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != "index"  # `git status` refreshes it
    }
    return {"said": outputs, "content": content}


def test_the_users_tree_is_unchanged(store: Store, kernel: Path, v2: SeriesVersion) -> None:
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "mine"]):
        git.git(*words, cwd=kernel)
    hook = kernel / ".git" / "hooks" / "applypatch-msg"
    hook.write_text(f"#!/bin/sh\ntouch {kernel}/tripped\nexit 1\n")
    hook.chmod(0o755)
    (kernel / "init.c").write_text("work in progress\n")
    before = state(kernel)
    mine = bases.resolve(store, "HEAD", tree=kernel)
    result = tree.materialize(store, TreeSpec(base=mine, series=v2))
    assert "mm/unmap_batch.c" in files(store, result)
    assert "work in progress" not in show(store, result, "init.c")
    assert state(kernel) == before


def test_a_tree_without_a_version_is_no_kernel(store: Store, base: Base, kernel: Path) -> None:
    other = rewritten(store, kernel, {"Makefile": ("PATCHLEVEL = 12", "PATCHLEVEL = twelve")})
    with pytest.raises(ConfigError, match="is not a kernel tree"):
        tree.materialize(store, TreeSpec(base=other))
    (kernel / "Makefile").unlink()
    other = replace(base, commit=git.import_tree(store, kernel, "x\n"))
    with pytest.raises(ConfigError, match="is not a kernel tree"):
        tree.materialize(store, TreeSpec(base=other))


def test_a_release_candidates_version(store: Store, base: Base, kernel: Path) -> None:
    other = rewritten(store, kernel, {"Makefile": ("EXTRAVERSION =", "EXTRAVERSION = -rc7")})
    result = tree.materialize(store, TreeSpec(base=other))
    assert result.version.rc == 7


KILLED = """
import os, signal, sys
from pathlib import Path
from rig import git
from rig.kernel import tree
from rig.kernel.base import Base
from rig.kernel.tree import TreeSpec
from rig.series import model
from rig.store import Store

def killed(*args):
    os.kill(os.getpid(), signal.SIGKILL)

git.keep = killed
store, v2 = Store(Path(sys.argv[1])), model.read(Path(sys.argv[3]))
base = Base(name="v6.12", commit=sys.argv[2], origin="")
tree.materialize(store, TreeSpec(base=base, series=v2))
"""


def test_a_killed_rigs_work_is_done_again(
    store: Store, base: Base, v2: SeriesVersion, script: Callable[..., Any]
) -> None:
    path = MBX / "shelf" / "unmap-batch" / "v2.mbx"
    assert script(KILLED, store.root, base.commit, path).wait(120) == -9
    result = tree.materialize(store, TreeSpec(base=base, series=v2))
    assert "mm/unmap_batch.c" in files(store, result)
    assert [path.name for path in (store.root / "trees").iterdir() if path.name[0] == "."] == []


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ("kill -KILL $$", "git was killed by signal 9"),
        ("kill -TERM $$", "git was killed by signal 15"),
        ("echo 'error: unable to write file: No space left on device' >&2; exit 128", "is full"),
    ],
)
def test_a_git_that_the_host_stops_is_not_the_patchs_fault(
    store: Store,
    base: Base,
    v2: SeriesVersion,
    program: Callable[[str, str], Path],
    does: str,
    message: str,
) -> None:
    real = shutil.which("git")
    program("git", f'case " $* " in *" am --3way "*) {does} ;; esac; exec {real} "$@"')
    with pytest.raises(InfraError, match=message):
        tree.materialize(store, TreeSpec(base=base, series=v2))


def test_a_series_that_a_removed_tree_had_applied_too_is_applied_again(
    store: Store, base: Base, v2: SeriesVersion, tmp_path: Path
) -> None:
    """git did not write the changed files, because the user's tree had them."""
    other = Store(tmp_path / "other")
    shutil.copytree(store.root, other.root)
    applied = tree.materialize(other, TreeSpec(base=base, series=v2))
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in files(other, applied):
        (theirs / name.replace("/", "-")).write_text(show(other, applied, name))
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "mine"]):
        git.git(*words, cwd=theirs)
    git.borrow(store, theirs)
    tree.materialize(store, TreeSpec(base=base, series=v2))
    shutil.rmtree(theirs)
    again = tree.materialize(store, TreeSpec(base=base, series=v2))
    assert again.tree == applied.tree
    git.git("archive", "--output=/dev/null", again.commit, cwd=git.repository(store))
