# SPDX-License-Identifier: GPL-2.0-only
"""Names and numbers that strangers choose, where one becomes a path, an option, a ref, a command.

Each is mapped to a name that is harmless there, or refused by a ConfigError, or nothing is found.
"""

import shlex
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from rig import git, proc
from rig.campaigns import execute, request
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult, RunSpec
from rig.context import Context
from rig.errors import ConfigError
from rig.kernel import base as trees
from rig.kernel.base import Base
from rig.kernel.tree import TreeSpec
from rig.report import reply, review
from rig.series import claims, fetch, model, sources, target
from rig.shelves import Shelves
from rig.store import Store

Results = dict[str, tuple[RunResult, ...]]
EVIL = (
    *("-x", "--output=/tmp/owned", "-", "--", "~root", "~nobody-at-all/x"),
    *("..", ".", "../../etc/passwd", "/etc/passwd", "a/../../b", "a/b", "", " ", "..."),
    *("a\0b", "a\nb", "a\r\nb", "a\tb", "\x1b[31m", "a\u202eb", "a\u200bb", "\udcff"),
    *("a" * 300, "é" * 200, "../" * 200),
    *("$(id)", "`id`", "a;b", "a|b", "a'b", 'a"b', "a b", "a,b", "a*", "a?b", "[a]", "a\\b", "a:b"),
    *("HEAD", "@{u}", "--all", "--since=now", "refs/heads/x", "a..b", "a~1", ":/fix", "a.lock"),
)
DIFF = "---\n x | 2 +-\n\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n-- \n2.1\n"
HUGE = "9" * 5000


def mail(subject: str, body: str = "") -> bytes:
    text = f"From: a <a@b>\nMessage-ID: <x@y.z>\nSubject: {subject}\n\n{body}\n{DIFF}"
    return text.encode(errors="replace")


def mbox(*mails: bytes) -> bytes:
    return b"".join(b"From r@z Thu Jan  1 00:00:00 1970\n" + content for content in mails)


def is_plain(name: str) -> bool:
    """A file's name that is no option to a program, and nothing but a word to a shell."""
    plain = name.isprintable() and len(name.encode()) < 200 and shlex.quote(name) == name
    return plain and not name.startswith(("-", ".")) and "/" not in name


def change_id(evil: str) -> str:
    text = f"x\n\nchange-id: 20260301-{evil}-0123456789ab\n"
    series = model.parse("", mbox(mail("[PATCH] mm: batch", text)))
    return fetch._name_of(Path("/nowhere"), series)


MAPPED: dict[str, Callable[[str], str]] = {
    "a subject": lambda evil: sources.name_of(mail(f"[PATCH] mm: {evil}")),
    "a branch": sources.slug,
    "a change-id": change_id,
}


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("source", MAPPED)
def test_a_name_is_made_of_it(source: str, evil: str) -> None:
    name = MAPPED[source](evil)
    assert is_plain(name), name
    fetch.check_name(name)


@pytest.mark.parametrize("evil", EVIL)
def test_the_name_of_a_file_is_no_option_and_no_directory(evil: str) -> None:
    name = model.called(Path(f"{evil}.mbx"))
    assert name.isprintable()
    assert not name.startswith(("-", "."))
    assert "/" not in name
    name.encode()  # it is stored


def test_a_run_is_stored_where_runs_are(store: Store, spec: RunSpec) -> None:
    labels = [(evil, f"{evil}@v2:1 on {evil}", f"x@{evil} on y") for evil in EVIL]
    for label in chain.from_iterable(labels):
        path = execute.new_directory(store, label)
        assert path.parent == store.root / "runs"
        assert is_plain(path.name.replace("@", "")), path.name
        named = replace(spec.tree, base=Base(name=label, commit="", origin=""))
        slots = execute.slots([spec, replace(spec, tree=named)])
        assert all(is_plain(slot.replace("@", "")) for slot in slots), slots


NO_NAMES = [evil for evil in EVIL if evil not in ("HEAD", "a..b", "a.lock")]


@pytest.mark.parametrize("evil", NO_NAMES)
def test_no_series_is_named_so(evil: str) -> None:
    with pytest.raises(ConfigError):
        fetch.check_name(evil)


@pytest.mark.parametrize("evil", EVIL)
def test_no_claims_are_read_elsewhere(evil: str, tmp_path: Path) -> None:
    (shelf := tmp_path / "a" / "b").mkdir(parents=True)
    for place in (shelf, shelf.parent, tmp_path):
        (place / claims.FILE).write_text("this is no TOML")
    assert claims.load(shelf, evil, {}) == ()


def test_a_base_commit_is_no_option(store: Store, base: Base) -> None:
    tree = git.repository(store)
    assert trees.commit_of(tree, base.commit) == base.commit
    for evil in EVIL:
        text = f"x\n\nbase-commit: {evil}\n"
        base_commit = model.parse("", mbox(mail("[PATCH] mm: batch", text))).base
        assert trees.named(base_commit) == trees.commit_of(tree, base_commit) == "", evil


IDS = (
    *("-o/tmp/owned@x.y", "--exec=id@x.y", "a\0b@x.y", "a\nb@x.y", "\x1b[31m@x.y", "a\u202e@x.y"),
    *(
        "https://evil.example/all/id@x.y",
        "http://[/id@x.y",
        "<a>@x.y",
        "a b@x.y",
        f"{'a' * 5000}@x.y",
    ),
)


@pytest.mark.parametrize("evil", IDS)
def test_a_link_leads_to_no_option_and_to_no_other_server(evil: str, tmp_path: Path) -> None:
    """`Link to v1:` is whatever the author says, and its end is quoted."""
    quoted = "".join(f"%{byte:02x}" for byte in evil.encode()).replace("%40", "@")
    links = sources._links([mail("[PATCH v2] x", f"Link to v1: https://x.y/r/{quoted}\n")])
    assert links == ([evil] if evil.startswith("-") else [])


def test_b4_is_given_no_option(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from b4.command import setup_parser

    from rig.series import b4

    commands: list[str] = []

    def run(argv: list[str], **_: object) -> proc.Done:
        commands.extend(argv)
        (tmp_path / "thread").touch()
        return proc.Done(argv=tuple(argv), status=0, stdout="", stderr="", seconds=0)

    monkeypatch.setattr(proc, "run", run)
    b4.thread("-o/tmp/owned@x.y", tmp_path)
    read = setup_parser().parse_args(commands[1:])
    assert (read.msgid, read.outdir) == ("-o/tmp/owned@x.y", str(tmp_path))


@pytest.mark.parametrize(
    ("evil", "typed"),
    [
        ("x-1@y.z", "x-1@y.z"),
        *((one, f"<{one}>") for one in ("-o/tmp/owned@x.y", "--unconfined@x", "batch@v2", "./x@y")),
        ("a;id>owned@x.y", ""),
        ("a;id@x.y", "a;id@x.y"),
        ("a$(id)@x.y", "a$(id)@x.y"),
        *((one, "") for one in IDS if not one.startswith("-")),
        *((one, "") for one in ("", "v6.12", "--unconfined", "/etc/passwd", "~/mail", "x.mbx")),
    ],
)
def test_a_command_that_names_a_mail(evil: str, typed: str, store: Store, results: Results) -> None:
    """Pasted, it is that mail and nothing else: no option, no file, no other command."""
    assert target.typed(evil) == typed
    none = Shelves(kconfigs=Path("/k"), patches=Path("/p"), images=Path("/i"))
    (entry,) = review.check(Context(store, none), evil)
    if typed:
        assert shlex.split(entry["details"]) == ["rig", "run", typed]
        assert target.message(typed) == evil
    else:
        assert "no Message-ID" in entry["summary"]
    top = f"Message-ID: <{evil}>\n\n".encode(errors="replace")
    words = shlex.split(reply.again(results["pass"], top))
    assert words[2] in (typed or "unmap-batch@v2", "unmap-batch@v2"), "the latter of a damaged one"


NUMBERS: dict[str, Callable[[Path], object]] = {
    "a revision": lambda _: model.parse("", mbox(mail(f"[PATCH v{HUGE}] x"))),
    "a long one": lambda _: model.parse("", mbox(mail("[PATCH v10000] x"))),
    "a patch": lambda _: model.parse("", mbox(mail(f"[PATCH {HUGE}/{HUGE}] x"))),
    "a count": lambda _: model.parse("", mbox(mail("[PATCH 1/99999999999] x"))),
    "a target's revision": lambda _: target.parse(f"x@v{HUGE}:1 "),
    "a target's patch": lambda _: target.parse(f"x@v1:{HUGE}"),
}
IGNORED: dict[str, Callable[[], object]] = {
    "a thread's revision": lambda: sources.revision_of(f"[PATCH v{HUGE}] x") - 1,
    "a link's": lambda: sources._links(
        [mail("[PATCH v2] x", f"v{HUGE}: https://x.y/r/a@b.c\nv{HUGE[:400]}: https://x.y/r/a@b.c")]
    ),
    "a prerequisite's": lambda: (
        model.parse(
            "",
            mbox(
                mail(f"[PATCH 0/1] x\n\nprerequisite-change-id: a:v{HUGE}"), mail("[PATCH 1/1] x")
            ),
        ).needs
    ),
    "a release": lambda: trees.named(f"v6.{HUGE}") or trees.named("v6.\u0663"),
    "a file's": lambda: model.FILE_NAME.match(f"v{HUGE}.mbx"),
}


@pytest.mark.parametrize("what", NUMBERS)
def test_a_number_is_not_endless(what: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as bad:
        NUMBERS[what](tmp_path)
    assert len(bad.value.message) < 100 or "is not a target" in bad.value.message


@pytest.mark.parametrize("what", IGNORED)
def test_one_that_is_is_none(what: str) -> None:
    assert not IGNORED[what]()


def test_a_series_on_top_of_itself(tmp_path: Path) -> None:
    """Its cover letter says so, and would have the rig go round for ever."""
    names = {"a": "b", "b": "a", "c": "c"}
    for name, below in names.items():
        (tmp_path / name).mkdir()
        cover = f"change-id: {name}\nprerequisite-change-id: {below}:v1\n"
        head = mail("[PATCH 0/1] x", cover).partition(b"---\n")[0]
        (tmp_path / name / "v1.mbx").write_bytes(mbox(head, mail("[PATCH 1/1] x")))
    for name, order in (("a", "a@v1 on b@v1 on a@v1"), ("c", "c@v1 on c@v1")):
        with pytest.raises(ConfigError, match=f"^a series is on top of itself: {order}$"):
            model.beneath(tmp_path, model.load(tmp_path, name))


def test_what_a_series_below_promises_is_looked_at(
    store: Store, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It becomes words of a command in the guest."""
    series = model.parse(
        "a", mbox(mail("[PATCH 0/1] x", "Promises: x/$(id)\n"), mail("[PATCH 1/1] x"))
    )
    tree = TreeSpec(base=spec.tree.base, series=series, below=(series,))
    assert tree.promises
    monkeypatch.setattr(request, "check", lambda *_: None)
    monkeypatch.setattr(request, "tree_spec", lambda *_: tree)
    with pytest.raises(ConfigError, match="no case that a kernel could promise"):
        request.specs(Context(store, Shelves.default()), Request(target="a"))


def test_a_source_that_is_no_path() -> None:
    """Nor is a message-id that is too long for one the host's trouble."""
    assert [target.message(source) for source in EVIL] == [""] * len(EVIL)
    nobody = [source for source in EVIL if sources._existing(source) is None]
    assert {"~nobody-at-all/x", "a" * 300, "a\0b"} <= set(nobody)
