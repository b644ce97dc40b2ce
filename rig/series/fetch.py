# SPDX-License-Identifier: GPL-2.0-only
"""Series in: mail, mailbox, patch directory or git range -> `patches/<series>/vN.mbx`.

Beside vN.mbx, which is what `b4 am` wrote, byte for byte, are b4's vN.cover and vN.thread.mbx, the
thread it was taken from. What is on the shelf is never written again; all of a fetch is there in
the end, or nothing of it.
"""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rig import log
from rig.errors import ConfigError, RigError
from rig.series import b4, model, rfc822, sources, target
from rig.series.model import SeriesVersion
from rig.store import host_trouble

CHANGE_ID = re.compile(r"\d{8}-(?P<slug>.+)-[0-9a-f]{6,}")
SCRATCH = ".fetch~"
MUTANTS = "mutants"
NAME_MAX = 100
"""Bytes: a file's name has 255, and there is more in some than this."""
NO_PATCH = "there is no patch in it"
A_PATCH = "a patch is a mail with [PATCH] in its subject and a diff in its text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    series: tuple[SeriesVersion, ...]
    """The oldest first."""
    fresh: tuple[int, ...]
    """The revisions that were not on the shelf yet."""
    said: str
    """b4's words."""


def fetch(
    shelf: Path,
    source: str,
    *,
    name: str = "",
    all_revisions: bool = False,
    with_trailers: bool = False,
) -> Fetched:
    """Put a series on the shelf.

    Raises ConfigError for what is no series, InfraError where the server or the host fails.
    """
    if name:
        check_name(name)
    with log.step(f"Fetching {source}") as step, _scratch(shelf) as scratch:
        found = sources.gather(shelf, source, name, scratch, all_revisions=all_revisions)
        mails = [mail for thread in found for mail in thread.mails]
        everything = scratch / "mails"
        everything.write_bytes(b"".join(thread.path.read_bytes() for thread in found))
        wanted = _wanted(source, mails, found[0].named, all_revisions=all_revisions)
        work = scratch / "work"
        work.mkdir()
        said, made = "", []
        for revision in wanted:
            step.note(f"b4 am v{revision}")
            _check_plain(source, mails, revision)
            own = next(one for one in found if revision in sources.revisions_of(one.mails))
            (work / f"v{revision}.thread.mbx").write_bytes(own.path.read_bytes())
            said += b4.am(everything, revision, work, with_trailers=with_trailers)
            made.append(_read(work / f"v{revision}.mbx", source, said))
        name = name or found[0].name or _name_of(shelf, made[-1])
        check_name(name)
        fresh = _place(shelf, name, work, made)
    return Fetched(
        series=tuple(model.load(shelf, name, revision) for revision in wanted),
        fresh=fresh,
        said=said,
    )


def _read(path: Path, source: str, said: str) -> SeriesVersion:
    """What b4 made, read as it will be; complaints name what the user named."""
    if not path.is_file():
        raise ConfigError(f"{source}: {NO_PATCH}", hint=A_PATCH, detail=said.strip()[-2000:])
    try:
        return model.read(path)
    except RigError as error:
        error.message = error.message.replace(f"{path}", f"{source}: {path.stem}")
        error.args = (error.message,)
        raise


@contextlib.contextmanager
def _scratch(shelf: Path) -> Iterator[Path]:
    """On the shelf's own file system, where a rename is whole or not at all.

    What a killed rig left goes: the name holds its pid.
    """
    with host_trouble(f"writing to {shelf}"):
        shelf.mkdir(parents=True, exist_ok=True)
        for stale in shelf.glob(f"{SCRATCH}*"):
            if not Path("/proc", stale.name.removeprefix(SCRATCH).split("-")[0]).exists():
                shutil.rmtree(stale, ignore_errors=True)
        prefix = f"{SCRATCH}{os.getpid()}-"
        with tempfile.TemporaryDirectory(dir=shelf, prefix=prefix) as path:
            yield Path(path)


# --- what is in them ----------------------------------------------------------------------------


def _wanted(source: str, mails: Sequence[bytes], named: str, *, all_revisions: bool) -> list[int]:
    """All revisions, or that of the mail that was named, or the newest."""
    known = sorted(sources.revisions_of(mails))
    if not known:
        raise ConfigError(f"{source}: {NO_PATCH}", hint=A_PATCH)
    if all_revisions:
        if absent := [str(n) for n in range(1, known[-1]) if n not in known]:
            log.note(f"not found: v{', v'.join(absent)}")
        return known
    own = (
        sources.revision_in(one)
        for one in mails
        if rfc822.header(one, "Message-ID") == f"<{named}>"
    )
    chosen = next(own, 0) or known[-1]
    if others := [f"v{number}" for number in known if number != chosen]:
        log.note(f"{', '.join(others)} is there as well: --all-revisions")
    return [chosen]


def _check_plain(source: str, mails: Sequence[bytes], revision: int) -> None:
    """b4 leaves out what is HTML only, and then finds that something is missing."""
    for mail in mails:
        if sources.revision_in(mail) != revision:
            continue
        if rfc822.is_html_only(mail):
            raise ConfigError(
                f"{source}: {rfc822.header(mail, 'Subject')!r} is HTML only", hint=model.PLAIN
            )


# --- the shelf ----------------------------------------------------------------------------------


def check_name(name: str) -> None:
    match = target.SERIES.fullmatch(name)
    if len(name.encode(errors="replace")) > NAME_MAX:
        raise ConfigError(f"{name[:32]!r}… is too long a name", hint=f"{NAME_MAX} bytes at most")
    if not match or match["name"] != name or target.BASE.fullmatch(name) or target.message(name):
        raise ConfigError(
            f"{name!r} is no name for a series", hint="letters, digits, dots, dashes: batch-tlb"
        )
    if name == MUTANTS:
        raise ConfigError(
            f"patches/{name} is where the mutants are",
            hint="give this series another name: --name NAME",
        )


def _name_of(shelf: Path, found: SeriesVersion) -> str:
    """That of its other revisions, else after its change-id, else after its subject."""
    if found.change_id:
        for known in model.names(shelf):
            if model.load(shelf, known).change_id == found.change_id:
                return known
        if match := CHANGE_ID.fullmatch(found.change_id):
            return sources.slug(match["slug"])
    return sources.name_of(found.top)


def _check_kin(
    name: str, there: Sequence[SeriesVersion], fresh: Sequence[SeriesVersion], *, together: bool
) -> None:
    """Names are taken twice: `fix`, or a branch's. `together`: a revision came that is there."""
    change_id = there[-1].change_id
    hint = "give this one another name: --name OTHER"
    ids = {one.change_id for one in (there[-1], *fresh) if one.change_id}
    if len(ids) > 1:
        raise ConfigError(
            f"{name} is the name of another series: its change-id is {change_id}", hint=hint
        )
    known = change_id and any(one.change_id == change_id for one in fresh)
    if not (known or together or any(_kin(old, new) for old in there for new in fresh)):
        raise ConfigError(
            f"{name} is the name of another series: v{fresh[-1].revision} has no title and no diff"
            f" of it, and no link to it",
            hint=hint,
        )


def _kin(old: SeriesVersion, new: SeriesVersion) -> bool:
    """Whether they share a title or a diff, or a mail of the one is named in the other."""
    marks, mails, words = [], [], []
    for one in (old, new):
        every = (one.top, *(patch.mail for patch in one.patches))
        titles = {sources.title(rfc822.header(mail, "Subject")).casefold() for mail in every}
        texts = [f"\n{rfc822.body_of(mail)}".partition("\ndiff --git ") for mail in every]
        marks.append(titles | {_changed(diff) for _, _, diff in texts if diff})
        mails.append({rfc822.header(mail, "Message-ID").strip("<> ") for mail in every} - {""})
        said = [text for text, _, _ in texts]
        said += [rfc822.header(one.top, name) for name in ("In-Reply-To", "References")]
        words.append({word.strip(".") for word in re.split(r"[\s<>/()\[\],;]+", " ".join(said))})
    shared = marks[0] & marks[1] or mails[0] & words[1] or mails[1] & words[0]
    return bool(shared)


def _changed(diff: str) -> str:
    """The files and the lines that a diff changes, wherever they are."""
    lines = diff.partition("\n-- \n")[0].splitlines()
    return "\n".join([lines[0], *(line for line in lines if line.startswith(("+", "-", "diff ")))])


def _place(shelf: Path, name: str, work: Path, found: Sequence[SeriesVersion]) -> tuple[int, ...]:
    """Everything that is new, or an error and nothing; returns the new revisions."""
    home = shelf / name
    known = model.revisions(shelf, name) if name in model.names(shelf) else ()
    fresh = tuple(one for one in found if one.revision not in known)
    for one in found:
        if one.revision in known:
            there = (home / f"v{one.revision}.mbx").read_bytes()
            if there != (work / f"v{one.revision}.mbx").read_bytes():
                raise ConfigError(
                    f"{home / f'v{one.revision}.mbx'} is there already and is not the same",
                    hint="it is never written again; give this one another name: --name NAME",
                )
    if known and fresh:
        older = [model.load(shelf, name, number) for number in known]
        _check_kin(name, older, fresh, together=len(fresh) < len(found))
    # vN.mbx last: it is what makes a revision.
    names = [
        f"v{one.revision}{suffix}"
        for suffix in (".thread.mbx", ".cover", ".mbx")
        for one in fresh
        if (work / f"v{one.revision}{suffix}").is_file()
    ]
    if not home.exists():
        staged = work / "staged"
        staged.mkdir()
        for file in names:
            (work / file).rename(staged / file)
        staged.rename(home)
        return tuple(one.revision for one in fresh)
    placed: list[Path] = []
    try:
        for file in names:
            (home / file).hardlink_to(work / file)  # which fails if it is there
            placed.append(home / file)
    except BaseException:
        for path in reversed(placed):
            path.unlink(missing_ok=True)
        raise
    return tuple(one.revision for one in fresh)
