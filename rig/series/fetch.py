# SPDX-License-Identifier: GPL-2.0-only
"""`rig fetch`: a mail, mailbox, patch directory or git range -> `patches/<series>/vN.mbx`.

vN.mbx is the output of `b4 am`, byte for byte. Beside it are b4's vN.cover, and vN.thread.mbx, the
thread it was made from. Files in patches/ are never overwritten. A fetch adds all of its revisions,
or none.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rig import log, scratch
from rig.errors import ConfigError, RigError
from rig.series import b4, model, rfc822, sources, target
from rig.series.model import SeriesVersion
from rig.store import host_trouble

CHANGE_ID = re.compile(r"\d{8}-(?P<slug>.+)-[0-9a-f]{6,}")
SCRATCH = ".rig-fetch-"
MUTANTS = "mutants"
NAME_MAX = 100
"""Bytes. A file's name has 255, and some are longer than the series' name in it."""
NO_PATCH = "there is no patch in it"
A_PATCH = "a patch is a mail with [PATCH] in its subject and a diff in its text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    series: tuple[SeriesVersion, ...]
    """Oldest first."""
    fresh: tuple[int, ...]
    """The revisions that were not in patches/ before."""
    said: str
    """b4's output."""


def fetch(
    shelf: Path,
    source: str,
    *,
    name: str = "",
    all_revisions: bool = False,
    with_trailers: bool = False,
) -> Fetched:
    """Add a series to patches/, which is `shelf`.

    Raises ConfigError if the source is not a series, InfraError if the server or the host fails.
    """
    if name:
        check_name(name)
    with log.step(f"Fetching {source}") as step, _scratch(shelf) as place:
        threads = sources.gather(shelf, source, name, place, all_revisions=all_revisions)
        mails = [mail for thread in threads for mail in thread.mails]
        everything = place / "mails"
        everything.write_bytes(b"".join(thread.path.read_bytes() for thread in threads))
        revisions = _wanted(source, mails, threads[0].named, all_revisions=all_revisions)
        work = place / "work"
        work.mkdir()
        output, series = "", []
        for revision in revisions:
            step.note(f"b4 am v{revision}")
            _check_plain(source, mails, revision)
            thread = next(
                thread for thread in threads if revision in sources.revisions_of(thread.mails)
            )
            (work / f"v{revision}.thread.mbx").write_bytes(thread.path.read_bytes())
            output += b4.am(everything, revision, work, with_trailers=with_trailers)
            series.append(_read(work / f"v{revision}.mbx", source, output))
        name = name or threads[0].name or _name_of(shelf, series[-1])
        check_name(name)
        fresh = _place(shelf, name, work, series)
    return Fetched(
        series=tuple(model.load(shelf, name, revision) for revision in revisions),
        fresh=fresh,
        said=output,
    )


def _read(path: Path, source: str, output: str) -> SeriesVersion:
    """Read b4's vN.mbx as it will be read from patches/. Errors name the source, not this file."""
    if not path.is_file():
        raise ConfigError(f"{source}: {NO_PATCH}", hint=A_PATCH, detail=output.strip()[-2000:])
    try:
        return model.read(path)
    except RigError as error:
        error.message = error.message.replace(f"{path}", f"{source}: {path.stem}")
        error.args = (error.message,)
        raise


@contextlib.contextmanager
def _scratch(shelf: Path) -> Iterator[Path]:
    """A directory in patches/: a rename is atomic only within one file system."""
    with host_trouble(f"writing to {shelf}"):
        shelf.mkdir(parents=True, exist_ok=True)
        with scratch.made(shelf, prefix=SCRATCH) as path:
            yield path


# --- revisions and their mails ------------------------------------------------------------------


def _wanted(source: str, mails: Sequence[bytes], named: str, *, all_revisions: bool) -> list[int]:
    """The revisions to fetch: all; or that of the mail whose id was given; or the newest."""
    revisions = sorted(sources.revisions_of(mails))
    if not revisions:
        raise ConfigError(f"{source}: {NO_PATCH}", hint=A_PATCH)
    if all_revisions:
        if absent := [str(n) for n in range(1, revisions[-1]) if n not in revisions]:
            log.note(f"not found on the server: v{', v'.join(absent)}")
        return revisions
    named_revisions = (
        sources.revision_in(mail)
        for mail in mails
        if rfc822.header(mail, "Message-ID") == f"<{named}>"
    )
    revision = next(named_revisions, 0) or revisions[-1]
    if others := [f"v{number}" for number in revisions if number != revision]:
        log.note(f"only v{revision} is fetched; --all-revisions fetches {', '.join(others)} too")
    return [revision]


def _check_plain(source: str, mails: Sequence[bytes], revision: int) -> None:
    """Raise ConfigError for a mail without plain text: b4 would skip it, and then say that a patch
    is missing."""
    for mail in mails:
        if sources.revision_in(mail) != revision:
            continue
        if rfc822.is_html_only(mail):
            raise ConfigError(
                f"{source}: {rfc822.header(mail, 'Subject')!r} is HTML only", hint=model.PLAIN
            )


# --- names and files in patches/ ----------------------------------------------------------------


def check_name(name: str) -> None:
    match = target.SERIES.fullmatch(name)
    if len(name.encode(errors="replace")) > NAME_MAX:
        raise ConfigError(
            f"the name {name[:32]!r}… is too long",
            hint=f"choose a name of at most {NAME_MAX} bytes: --name NAME",
        )
    if not match or match["name"] != name or target.BASE.fullmatch(name) or target.message(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a series",
            hint="a name has letters, digits, dots and dashes, like batch-tlb: --name NAME",
        )
    if name == MUTANTS:
        raise ConfigError(
            f"a series cannot be named {name!r}: patches/{name} holds the mutants",
            hint="give this series another name: --name NAME",
        )


def _name_of(shelf: Path, series: SeriesVersion) -> str:
    """The name of its other revisions in patches/; else from its change-id; else its subject."""
    if series.change_id:
        for name in model.names(shelf):
            if model.load(shelf, name).change_id == series.change_id:
                return name
        if match := CHANGE_ID.fullmatch(series.change_id):
            return sources.slug(match["slug"])
    return sources.name_of(series.top)


def _check_kin(
    name: str, present: Sequence[SeriesVersion], fresh: Sequence[SeriesVersion], *, together: bool
) -> None:
    """Raise ConfigError if `fresh` are revisions of another series than `present` are.

    Two series may get the same name, such as `fix` or that of a branch. `together`: one of the
    revisions in patches/ was fetched again with these.
    """
    change_id = present[-1].change_id
    hint = "give this series another name: --name OTHER"
    ids = {series.change_id for series in (present[-1], *fresh) if series.change_id}
    if len(ids) > 1:
        raise ConfigError(
            f"{name} is the name of another series: its change-id is {change_id}", hint=hint
        )
    same_id = change_id and any(series.change_id == change_id for series in fresh)
    if not (same_id or together or any(_kin(old, new) for old in present for new in fresh)):
        raise ConfigError(
            f"{name} is the name of another series: v{fresh[-1].revision} shares no title and no"
            f" diff with it, and has no link to it",
            hint=hint,
        )


def _kin(old: SeriesVersion, new: SeriesVersion) -> bool:
    """Whether two revisions share a title or a diff, or one has a message-id of the other."""
    contents, ids, words = [], [], []
    for series in (old, new):
        mails = (series.top, *(patch.mail for patch in series.patches))
        titles = {sources.title(rfc822.header(mail, "Subject")).casefold() for mail in mails}
        bodies = [f"\n{rfc822.body_of(mail)}".partition("\ndiff --git ") for mail in mails]
        contents.append(titles | {_changed(diff) for _, _, diff in bodies if diff})
        ids.append({rfc822.header(mail, "Message-ID").strip("<> ") for mail in mails} - {""})
        texts = [text for text, _, _ in bodies]
        texts += [rfc822.header(series.top, name) for name in ("In-Reply-To", "References")]
        words.append({word.strip(".") for word in re.split(r"[\s<>/()\[\],;]+", " ".join(texts))})
    shared = contents[0] & contents[1] or ids[0] & words[1] or ids[1] & words[0]
    return bool(shared)


def _changed(diff: str) -> str:
    """The files that a diff changes and its + and - lines, without line numbers and context."""
    lines = diff.partition("\n-- \n")[0].splitlines()
    return "\n".join([lines[0], *(line for line in lines if line.startswith(("+", "-", "diff ")))])


def _place(shelf: Path, name: str, work: Path, series: Sequence[SeriesVersion]) -> tuple[int, ...]:
    """Add all revisions that are new, or raise and add none; returns the new revisions."""
    home = shelf / name
    present = model.revisions(shelf, name) if name in model.names(shelf) else ()
    new = tuple(version for version in series if version.revision not in present)
    for version in series:
        if version.revision in present:
            file = f"v{version.revision}.mbx"
            if (home / file).read_bytes() != (work / file).read_bytes():
                raise ConfigError(
                    f"{home / file} exists and differs from what was fetched",
                    hint="it is never overwritten; give this series another name: --name NAME",
                )
    if present and new:
        older = [model.load(shelf, name, number) for number in present]
        _check_kin(name, older, new, together=len(new) < len(series))
    # vN.mbx last: a revision exists once it is there.
    names = [
        f"v{version.revision}{suffix}"
        for suffix in (".thread.mbx", ".cover", ".mbx")
        for version in new
        if (work / f"v{version.revision}{suffix}").is_file()
    ]
    if not home.exists():
        staged = work / "staged"
        staged.mkdir()
        for file in names:
            (work / file).rename(staged / file)
        staged.rename(home)
        return tuple(version.revision for version in new)
    placed: list[Path] = []
    try:
        for file in names:
            (home / file).hardlink_to(work / file)  # fails if the file exists
            placed.append(home / file)
    except BaseException:
        for path in reversed(placed):
            path.unlink(missing_ok=True)
        raise
    return tuple(version.revision for version in new)
