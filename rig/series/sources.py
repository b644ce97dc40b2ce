# SPDX-License-Identifier: GPL-2.0-only
"""Mails of a series, wherever they are: a thread on a server, a mailbox, a directory, commits.

Whatever it was, b4 has read and written it, so that what follows knows one kind.
"""

import email.utils
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from email.header import Header
from pathlib import Path

from rig import git, log
from rig.errors import ConfigError
from rig.series import b4, model, rfc822, target
from rig.series.model import SeriesVersion

RANGE = re.compile(r"git:(?P<path>.+?)\s+(?P<base>\S+?)\.\.(?P<tip>\S+)")
TAG = re.compile(r"^\s*\[(?P<tag>[^\]]*)\]\s*(?P<rest>.*)$", re.DOTALL)
EARLIER = re.compile(
    r"\bv([0-9]{1,4})\b[^\n]*?(?:\n[ \t>*-]*)?(https?://[^\s<>]+@[^\s<>,;)\]]+)", re.I
)
"""`Link to v1: https://lore.kernel.org/r/ID`, and the link on the line after `v1:`."""
HEADER = re.compile(rb"[A-Za-z][A-Za-z-]*: ")
BEGINS = re.compile(rb"^From ", re.MULTILINE)
NAME_MAX = 48
FROM = b"From rig@z Thu Jan  1 00:00:00 1970\n"
# The tree's own .git/config has a say in what a patch looks like; git.ENV keeps out the user's.
PLAIN = (
    *("--numbered", "--no-cover-letter", "--no-signoff", "--signature=", "--no-notes"),
    *("--no-to", "--no-cc", "--no-add-header", "--no-attach", "--no-thread", "--no-from"),
    *("--subject-prefix=PATCH", "--suffix=.patch", "--src-prefix=a/", "--dst-prefix=b/"),
    *("--unified=3", "--inter-hunk-context=0", "--diff-algorithm=default", "-M", "-O/dev/null"),
)
SETTINGS = (
    *("core.abbrev=auto", "core.quotePath=true", "diff.suppressBlankEmpty=false"),
    *("diff.indentHeuristic=true", "diff.noprefix=false", "format.noprefix=false"),
    *("diff.relative=false", "diff.submodule=short", "log.showSignature=false"),
    *("format.encodeEmailHeaders=true", "format.forceInBodyFrom=false"),
    "i18n.logOutputEncoding=UTF-8",
)
KINDS = "a message-id, a lore link, an mbox, a maildir, a patch directory, or 'git:PATH BASE..TIP'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Thread:
    """An mbox as b4 made it."""

    path: Path
    mails: tuple[bytes, ...]
    named: str = ""
    """The message-id that was asked for."""
    name: str = ""
    """What a git range is called after: its branch, if it is one, or the first patch."""


def gather(
    shelf: Path, source: str, name: str, scratch: Path, *, all_revisions: bool
) -> list[Thread]:
    """The thread that was asked for, and those of other revisions if they are wanted."""
    local = _there(source)
    if match := RANGE.fullmatch(source):
        path, base, tip = match["path"], match["base"], match["tip"]
        mails = _range(path, base, tip, out=scratch / "range")
        name = name or _branch(path, tip) or name_of(mails[0])
        if number := _newest(shelf, name):
            number += not _same(mails, model.load(shelf, name, number))
            mails = _range(path, base, tip, out=scratch / "again", revision=number)
        threads = [replace(_local(source, scratch, mails), name=name)]
    elif local and local.is_dir() and not (local / "cur").is_dir():
        threads = [_local(source, scratch, _directory(local))]
    elif local and local.is_dir():
        threads = [_local(source, scratch, _maildir(local))]
    elif local:
        threads = [_local(source, scratch, _file(local, source))]
    elif named := target.message(source):
        out = scratch / "0"
        out.mkdir()
        threads = [_thread(b4.thread(source, out, newer=all_revisions), named)]
    else:
        raise ConfigError(f"{source!r} is nothing to fetch", hint=f"a source is {KINDS}")
    if all_revisions:
        _follow(source, threads, scratch)
    return threads


def _there(source: str) -> Path | None:
    """What is there by that name; nothing of a name that is too long, or in nobody's home."""
    try:
        path = Path(source).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError, ValueError):
        return None


def _thread(path: Path, named: str = "") -> Thread:
    return Thread(path=path, mails=tuple(rfc822.split(path.read_bytes(), str(path))), named=named)


def _local(source: str, scratch: Path, mails: Sequence[bytes]) -> Thread:
    """Mails through b4, which then reads every kind as it reads a thread.

    For its Python any "From " begins the next mail of a mailbox, and no quoting is undone, so a
    commit's message has ">From " in the end. So it has whatever way a mail comes to `b4 am`, which
    quotes it itself.
    """
    path = scratch / "source.mbox"
    path.write_bytes(b"".join(FROM + BEGINS.sub(b">From ", _readable(one)) for one in mails))
    out = scratch / "0"
    out.mkdir()
    return _thread(b4.thread(source, out, local=path))


def _file(path: Path, source: str) -> list[bytes]:
    """A mailbox, or one mail, as `git am` takes both."""
    data = path.read_bytes()
    return [data] if HEADER.match(data) else rfc822.split(data, source)


def _readable(mail: bytes) -> bytes:
    """As b4 wants it: a message-id, which git's mails have not; [PATCH v2 1/3], not [v2,1/3]."""
    head, blank, body = mail.partition(b"\n\n")
    if not re.search(rb"^message-id:", head, re.I | re.M):
        name = hashlib.sha256(mail).hexdigest()[:32]
        head += f"\nMessage-Id: <{name}@rig.invalid>".encode()
    subject = rfc822.header(mail, "Subject")
    match = TAG.match(subject)
    if match and "," in match["tag"] and "PATCH" not in match["tag"].upper():  # patchwork's
        fresh = f"[PATCH {' '.join(match['tag'].split(','))}] {match['rest']}"
        value = fresh if fresh.isascii() else Header(fresh, "utf-8").encode()
        line = b"Subject: " + value.encode()
        head = re.sub(rb"^subject:.*(?:\n[ \t].*)*", lambda _: line, head, flags=re.I | re.M)
    return head + (blank or b"\n\n") + body + (b"" if mail.endswith(b"\n") else b"\n")


def _maildir(path: Path) -> list[bytes]:
    """maildir(5): a file for each mail; the time is what its name begins with."""
    files = [*(path / "cur").glob("[!.]*"), *(path / "new").glob("[!.]*")]
    mails = (one.read_bytes() for one in sorted(files, key=lambda file: file.name))
    return [mail.partition(b"\n")[2] if mail.startswith(b"From ") else mail for mail in mails]


def _directory(path: Path) -> list[bytes]:
    """Patches and mails, in the order of their names."""
    files = sorted(
        one for one in path.iterdir() if one.suffix in (".patch", ".eml") and one.is_file()
    )
    if not files:
        raise ConfigError(
            f"{path}: there is no *.patch and no *.eml in it", hint=f"a source is {KINDS}"
        )
    mails: list[bytes] = []
    for file in files:
        data = file.read_bytes().rstrip(b"\n") + b"\n\n"
        mails += rfc822.split(data, str(file)) if data.startswith(b"From ") else [data]
    return mails


def slug(text: str) -> str:
    """A name for a series made from what it is about."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()
    return (words[:NAME_MAX].rpartition("-")[0] if len(words) > NAME_MAX else words) or "series"


def name_of(mail: bytes) -> str:
    """A name for a series after the title of its first mail, without the subsystem."""
    text = title(rfc822.header(mail, "Subject"))
    return slug(text.rpartition(": ")[2] or text)


def _branch(path: str, tip: str) -> str:
    """The branch that `tip` is, or that HEAD is on; empty for any other commit."""
    said = git.text("rev-parse", "--symbolic-full-name", tip, cwd=Path(path).expanduser())
    return (
        slug(said.rpartition("/")[2]) if said.startswith(("refs/heads/", "refs/remotes/")) else ""
    )


def _newest(shelf: Path, name: str) -> int:
    return model.revisions(shelf, name)[-1] if name in model.names(shelf) else 0


def _range(path: str, base: str, tip: str, *, out: Path, revision: int = 1) -> list[bytes]:
    """Commits as mails of a revision."""
    tree = Path(path).expanduser()
    if not tree.is_dir() or git.git("rev-parse", "--git-dir", cwd=tree, check=False).status:
        raise ConfigError(f"{path} is no git tree")
    for one in (base, tip):
        verify = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{one}^{{commit}}")
        if git.git(*verify, cwd=tree, check=False).status:
            raise ConfigError(f"{path} has no revision named {one!r}")
    fork = git.text("merge-base", base, tip, cwd=tree)
    if not int(git.text("rev-list", "--count", "--no-merges", f"{fork}..{tip}", cwd=tree)):
        raise ConfigError(f"{base}..{tip}: there is no commit in between")
    number = [f"-v{revision}"] if revision > 1 else []
    settings = [word for one in SETTINGS for word in ("-c", one)]
    words = ("format-patch", *PLAIN, "-o", str(out), f"--base={fork}", *number)
    # With a path, an empty commit (b4 prep's cover letter is one) is not counted for a patch.
    git.git(*settings, *words, "--full-history", f"{fork}..{tip}", "--", ":/", cwd=tree)
    if not out.is_dir() or not any(out.iterdir()):
        raise ConfigError(f"{base}..{tip}: there is no patch in between, only empty commits")
    # One mail a file: a commit's message may quote another's "From SHA DATE".
    files = (file.read_bytes().rstrip(b"\n") for file in sorted(out.iterdir()))
    return [data.partition(b"\n")[2] + b"\n\n" for data in files]


def _same(mails: Sequence[bytes], there: SeriesVersion) -> bool:
    """Whether these commits are that revision, but for what b4 and `git mailinfo` change.

    Those change blank lines, quote From, and take quotes from a name, and from a subject whatever
    may be a prefix.
    """

    def content(mail: bytes) -> tuple[str, str, str, list[str]]:
        name, address = email.utils.parseaddr(rfc822.header(mail, "From"))
        lines = (line for line in rfc822.body_of(mail).splitlines() if line.strip(" -"))
        return (
            re.sub(r"(?i)^(\[[^\]]*\]|re:|[\s:])+", "", rfc822.header(mail, "Subject")),
            re.sub(r"\W+", " ", name).strip(),
            address,
            [line[1:] if line.startswith(">From ") else line for line in lines],
        )

    return [content(mail) for mail in mails] == [content(patch.mail) for patch in there.patches]


def _follow(source: str, threads: list[Thread], scratch: Path) -> None:
    """Back to v1: by the links of the cover letters, then by change-id or subject."""
    asked = {threads[0].named}
    for thread in threads:  # which grows
        for identifier in _links(thread.mails):
            known = revisions_of(mail for one in threads for mail in one.mails)
            there = {rfc822.header(mail, "Message-ID") for one in threads for mail in one.mails}
            if identifier in asked or f"<{identifier}>" in there:
                continue
            asked.add(identifier)
            out = scratch / str(len(asked))
            out.mkdir()
            try:
                found = _thread(b4.thread(identifier, out))
            except ConfigError as error:
                log.note(error.message)
                continue
            if revisions_of(found.mails) - known:
                threads.append(found)
    known = revisions_of(mail for one in threads for mail in one.mails)
    if absent := [number for number in range(1, max(known, default=1)) if number not in known]:
        path = b4.older(source, threads[0].path, absent, scratch)
        if path:
            threads.append(_thread(path))


def _links(mails: Sequence[bytes]) -> list[str]:
    """Message-ids of what the revisions in these mails call their earlier ones."""
    found = []
    for mail in mails:
        if not (own := revision_in(mail)):
            continue
        text = rfc822.body_of(mail).split("\ndiff --git ", 1)[0]
        for number, link in EARLIER.findall(text):
            if int(number) < own and (identifier := target.message(link)):
                found.append(identifier)
    return list(dict.fromkeys(found))


def revision_of(subject: str) -> int:
    """Of a cover letter or a patch, by the words that b4 looks for; 0 for another mail.

    [PATCHv2 1/3] and [RESEND][PATCH v2 1/3] are v2, [PATCH v6.12 1/3] is v1; an answer begins
    with Re:.
    """
    tags = _tags(subject)[0]
    if "PATCH" not in tags.upper() and not re.search(r"\d+/\d+", tags):
        return 0
    words = [word.strip(",;") for word in re.sub(r"(?i)(patch)(v\d)", r"\1 \2", tags).split()]
    numbers = [int(word[1:]) for word in words if re.fullmatch(r"v[0-9]{1,4}", word, re.I)]
    return numbers[-1] if numbers else 1


def title(subject: str) -> str:
    """What a mail is about, without [PATCH v2 1/3]."""
    return _tags(subject)[1]


def _tags(subject: str) -> tuple[str, str]:
    """What is in the brackets a subject begins with, and what is after them."""
    flat, tags = "", ""
    while flat != subject:  # brackets in brackets
        flat, subject = subject, re.sub(r"\[([^]]*)\[([^\[\]]*)]", r"[\1\2]", subject)
        subject = re.sub(r"\[([^]]*)]([^\[\]]*)]", r"[\1\2]", subject)
    while match := TAG.match(subject):
        tags += f" {match['tag']}"
        subject = match["rest"]
    return tags, subject


def revision_in(mail: bytes) -> int:
    return revision_of(rfc822.header(mail, "Subject"))


def revisions_of(mails: Iterable[bytes]) -> set[int]:
    return {number for mail in mails if (number := revision_in(mail))}
