# SPDX-License-Identifier: GPL-2.0-only
"""Gets the mails of a series: from a thread on a server, a mailbox, a directory, or commits.

All of them go through b4, so that the result is an mbox as b4 writes it.
"""

import email.utils
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from email.header import Header
from pathlib import Path

from rig import git, log
from rig.errors import ConfigError
from rig.series import b4, intake, model, rfc822, target
from rig.series.model import SeriesVersion

RANGE = re.compile(r"git:(?P<path>.+?)\s+(?P<base>\S+?)\.\.(?P<tip>\S+)")
TAG = re.compile(r"^\s*\[(?P<tag>[^\]]*)\]\s*(?P<rest>.*)$", re.DOTALL)
LINK = re.compile(r"https?://[^\s<>]{1,500}@[^\s<>,;)\]]+", re.I)
REVISION = re.compile(r"\bv([0-9]{1,4})\b", re.I)
BEFORE = 500
"""Characters before a link in which it says what the link is of."""
HEADER = re.compile(rb"[A-Za-z][A-Za-z-]*: ")
BEGINS = re.compile(rb"^From ", re.MULTILINE)
NAME_MAX = 48
FROM = b"From rig@z Thu Jan  1 00:00:00 1970\n"
# The tree's own .git/config could change how a patch looks. git.ENV excludes the user's.
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
KINDS = (
    "a message-id, a lore link, an mbox, a maildir, a patch directory, 'git:PATH BASE..TIP', or -"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Thread:
    """An mbox that b4 wrote."""

    path: Path
    mails: tuple[bytes, ...]
    named: str = ""
    """The message-id that was given."""
    name: str = ""
    """For a git range: a name from its branch, or from its first patch."""


def gather(
    shelf: Path, source: str, name: str, scratch: Path, *, all_revisions: bool
) -> list[Thread]:
    """The thread of `source`; with `all_revisions`, those of the other revisions too."""
    path = _existing(source)
    if source == "-":
        threads = [_local(source, scratch, _mails(intake.stdin(), "stdin"))]
    elif match := RANGE.fullmatch(source):
        tree, base, tip = match["path"], match["base"], match["tip"]
        mails = _range(tree, base, tip, out=scratch / "range")
        name = name or _branch(tree, tip) or name_of(mails[0])
        if number := _newest(shelf, name):
            number += not _same(mails, model.load(shelf, name, number))
            mails = _range(tree, base, tip, out=scratch / "again", revision=number)
        threads = [replace(_local(source, scratch, mails), name=name)]
    elif path and path.is_dir() and not (path / "cur").is_dir():
        threads = [_local(source, scratch, _directory(path))]
    elif path and path.is_dir():
        threads = [_local(source, scratch, _maildir(path))]
    elif path:
        threads = [_local(source, scratch, _file(path, source))]
    elif identifier := target.message(source):
        out = scratch / "0"
        out.mkdir()
        threads = [_thread(b4.thread(source, out, newer=all_revisions), identifier)]
    else:
        raise ConfigError(f"{source!r} cannot be fetched", hint=f"a source is {KINDS}")
    if all_revisions:
        _follow(source, threads, scratch)
    return threads


def _existing(source: str) -> Path | None:
    """The file or directory of this name, or None, also for a name that no file can have."""
    try:
        path = Path(source).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError, ValueError):
        return None


def _thread(path: Path, named: str = "") -> Thread:
    return Thread(path=path, mails=tuple(rfc822.split(path.read_bytes(), str(path))), named=named)


def _local(source: str, scratch: Path, mails: Sequence[bytes]) -> Thread:
    """Let b4 read local mails as it reads a thread.

    Python's mailbox module, which b4 uses, takes every line that begins with "From " for the start
    of a mail, so these lines are quoted here. Nothing removes the quotes, and the commit message
    has ">From ". The same happens to a mail from a server, because `b4 am` quotes.
    """
    path = scratch / "source.mbox"
    path.write_bytes(b"".join(FROM + BEGINS.sub(b">From ", _readable(mail)) for mail in mails))
    out = scratch / "0"
    out.mkdir()
    return _thread(b4.thread(source, out, local=path))


def _file(path: Path, source: str) -> list[bytes]:
    """The mails of a file, which is an mbox or one mail: `git am` takes both."""
    return _mails(intake.read(path), source)


def _mails(data: bytes, source: str) -> list[bytes]:
    return [data] if HEADER.match(data) else rfc822.split(data, source)


def _readable(mail: bytes) -> bytes:
    """The mail as b4 needs it: with a message-id, which `git format-patch` does not write, and with
    [PATCH v2 1/3] where patchwork wrote [v2,1/3]."""
    head, blank, body = mail.partition(b"\n\n")
    if not re.search(rb"^message-id:", head, re.I | re.M):
        name = hashlib.sha256(mail).hexdigest()[:32]
        head += f"\nMessage-Id: <{name}@rig.invalid>".encode()
    subject = rfc822.header(mail, "Subject")
    match = TAG.match(subject)
    if match and "," in match["tag"] and "PATCH" not in match["tag"].upper():  # from patchwork
        fresh = f"[PATCH {' '.join(match['tag'].split(','))}] {match['rest']}"
        value = fresh if fresh.isascii() else Header(fresh, "utf-8").encode()
        line = b"Subject: " + value.encode()
        head = re.sub(rb"^subject:.*(?:\n[ \t].*)*", lambda _: line, head, flags=re.I | re.M)
    return head + (blank or b"\n\n") + body + (b"" if mail.endswith(b"\n") else b"\n")


def _maildir(path: Path) -> list[bytes]:
    """The mails of a maildir(5), oldest first: a file's name begins with the time of delivery."""
    files = [*(path / "cur").glob("[!.]*"), *(path / "new").glob("[!.]*")]
    mails = (intake.read(file) for file in sorted(files, key=lambda file: file.name))
    return [mail.partition(b"\n")[2] if mail.startswith(b"From ") else mail for mail in mails]


def _directory(path: Path) -> list[bytes]:
    """The patches and mails in a directory, in the order of their file names."""
    files = sorted(
        file for file in path.iterdir() if file.suffix in (".patch", ".eml") and file.is_file()
    )
    if not files:
        raise ConfigError(
            f"{path}: there is no *.patch and no *.eml in this directory",
            hint=f"a source is {KINDS}",
        )
    mails: list[bytes] = []
    for file in files:
        data = intake.read(file).rstrip(b"\n") + b"\n\n"
        mails += rfc822.split(data, str(file)) if data.startswith(b"From ") else [data]
    return mails


def slug(text: str) -> str:
    """A name for a series, from a title."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()
    return (words[:NAME_MAX].rpartition("-")[0] if len(words) > NAME_MAX else words) or "series"


def name_of(mail: bytes) -> str:
    """A name for a series, from the title of its first mail without the subsystem."""
    text = title(rfc822.header(mail, "Subject"))
    return slug(text.rpartition(": ")[2] or text)


def _branch(path: str, tip: str) -> str:
    """A name from the branch that `tip` is, or that HEAD is on; empty for any other commit."""
    ref = git.text("rev-parse", "--symbolic-full-name", tip, cwd=Path(path).expanduser())
    return slug(ref.rpartition("/")[2]) if ref.startswith(("refs/heads/", "refs/remotes/")) else ""


def _newest(shelf: Path, name: str) -> int:
    return model.revisions(shelf, name)[-1] if name in model.names(shelf) else 0


def _range(path: str, base: str, tip: str, *, out: Path, revision: int = 1) -> list[bytes]:
    """The commits of base..tip as mails of a revision."""
    tree = Path(path).expanduser()
    if not tree.is_dir() or git.git("rev-parse", "--git-dir", cwd=tree, check=False).status:
        raise ConfigError(f"{path} is not a git tree", hint="write git:PATH BASE..TIP")
    for name in (base, tip):
        verify = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if git.git(*verify, cwd=tree, check=False).status:
            raise ConfigError(
                f"{path} has no revision named {name!r}", hint=f"git -C {path} branch --list --all"
            )
    fork = git.text("merge-base", base, tip, cwd=tree)
    if not int(git.text("rev-list", "--count", "--no-merges", f"{fork}..{tip}", cwd=tree)):
        raise ConfigError(
            f"{base}..{tip}: there is no commit in this range", hint=f"is it {tip}..{base}?"
        )
    number = [f"-v{revision}"] if revision > 1 else []
    settings = [word for setting in SETTINGS for word in ("-c", setting)]
    words = ("format-patch", *PLAIN, "-o", str(out), f"--base={fork}", *number)
    # With a path git skips empty commits, such as the cover letter of `b4 prep`, and does not count
    # them as patches.
    git.git(*settings, *words, "--full-history", f"{fork}..{tip}", "--", ":/", cwd=tree)
    if not out.is_dir() or not any(out.iterdir()):
        raise ConfigError(
            f"{base}..{tip}: all commits in this range are empty",
            hint=f"git -C {path} log --stat {base}..{tip} shows what they change",
        )
    # Each file is one mail. It is not split: a commit message may quote a line "From SHA DATE".
    files = (file.read_bytes().rstrip(b"\n") for file in sorted(out.iterdir()))
    return [data.partition(b"\n")[2] + b"\n\n" for data in files]


def _same(mails: Sequence[bytes], revision: SeriesVersion) -> bool:
    """Whether these commits are that revision, apart from what b4 and `git mailinfo` change.

    They change blank lines, quote "From ", remove quotes from a name, and remove everything from a
    subject that may be a prefix.
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

    return [content(mail) for mail in mails] == [content(patch.mail) for patch in revision.patches]


def _follow(source: str, threads: list[Thread], scratch: Path) -> None:
    """Add the threads of older revisions, back to v1: first by the links in cover letters, then by
    change-id or subject."""
    followed = {threads[0].named}
    for thread in threads:  # threads that are found are appended, and followed too
        for identifier in _links(thread.mails):
            mails = [mail for known in threads for mail in known.mails]
            revisions = revisions_of(mails)
            ids = {rfc822.header(mail, "Message-ID") for mail in mails}
            if identifier in followed or f"<{identifier}>" in ids:
                continue
            followed.add(identifier)
            out = scratch / str(len(followed))
            out.mkdir()
            try:
                older = _thread(b4.thread(identifier, out))
            except ConfigError as error:
                log.note(error.message)
                continue
            if revisions_of(older.mails) - revisions:
                threads.append(older)
    revisions = revisions_of(mail for thread in threads for mail in thread.mails)
    if absent := [
        number for number in range(1, max(revisions, default=1)) if number not in revisions
    ]:
        path = b4.older(source, threads[0].path, absent, scratch)
        if path:
            threads.append(_thread(path))


def _links(mails: Sequence[bytes]) -> list[str]:
    """The message-ids of earlier revisions that these mails link to."""
    identifiers = []
    for mail in mails:
        if not (revision := revision_in(mail)):
            continue
        text = rfc822.body_of(mail).split("\ndiff --git ", 1)[0]
        for number, link in earlier(text):
            if int(number) < revision and (identifier := target.message(link)):
                identifiers.append(identifier)
    return list(dict.fromkeys(identifiers))


def earlier(text: str) -> Iterator[tuple[str, str]]:
    """Revision and link of `Link to v1: https://lore.kernel.org/r/ID`; the link may be on the line
    after `v1:`. One expression for both would take hours for a line of some MiB."""
    end = 0
    for link in LINK.finditer(text):
        line, newline, rest = text[max(end, link.start() - BEFORE) : link.start()].rpartition("\n")
        is_alone = newline and not rest.strip(" \t>*-")
        if match := REVISION.search(line.rpartition("\n")[2] if is_alone else rest):
            yield match[1], link[0]
            end = link.end()


def revision_of(subject: str) -> int:
    """The revision of a cover letter or a patch, found as b4 finds it; 0 for another mail.

    [PATCHv2 1/3] and [RESEND][PATCH v2 1/3] are v2; [PATCH v6.12 1/3] is v1; a subject that begins
    with Re: is 0.
    """
    tags = _tags(subject)[0]
    if "PATCH" not in tags.upper() and not re.search(r"\d+/\d+", tags):
        return 0
    words = [word.strip(",;") for word in re.sub(r"(?i)(patch)(v\d)", r"\1 \2", tags).split()]
    numbers = [int(word[1:]) for word in words if re.fullmatch(r"v[0-9]{1,4}", word, re.I)]
    return numbers[-1] if numbers else 1


def title(subject: str) -> str:
    """A subject without [PATCH v2 1/3]."""
    return _tags(subject)[1]


def _tags(subject: str) -> tuple[str, str]:
    """The text in the brackets at the start of a subject, and the text after them."""
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
