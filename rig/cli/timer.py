# SPDX-License-Identifier: GPL-2.0-only
"""`rig nightly install`: a systemd user timer, or a line in the user's crontab."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rig import proc
from rig.campaigns.nightfile import NightFile
from rig.errors import ConfigError
from rig.store import host_trouble

BOOTED = Path("/run/systemd/system")
"""There if systemd is the host's init (sd_booted(3))."""
KEPT = ("RIG_STORE", "RIG_PATCHES", "RIG_KERNEL_MIRROR")
"""Variables that a night has to have, too."""
SERVICE = """\
[Unit]
Description=rig nightly {name}

[Service]
Type=oneshot
ExecStart={command}
WorkingDirectory={home}
Environment={environment}
TimeoutStartSec=infinity
Nice=10
"""
TIMER = """\
[Unit]
Description=rig nightly {name}, every night

[Timer]
OnCalendar=*-*-* {start}:00
Persistent=true

[Install]
WantedBy=timers.target
"""


def install(file: NightFile, path: Path, *, bisect: bool = False, cron: bool = False) -> str:
    """What was written, and what is left to do, for people."""
    command = [sys.executable, "-m", "rig", "nightly", "--quiet", *["--bisect"] * bisect, str(path)]
    if not cron and BOOTED.is_dir() and proc.which("systemctl"):
        return _systemd(file, path, command)
    if proc.which("crontab"):
        return _crontab(file, command)
    raise ConfigError(
        "this host runs neither systemd nor cron",
        hint=f"have this run every night at {file.start}: {shlex.join(command)}",
    )


def _environment() -> dict[str, str]:
    # cron's PATH has no /usr/local/bin, and the user's may have more.
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {"PATH": os.environ.get("PATH", os.defpath), **kept}


def _systemd(file: NightFile, path: Path, command: Sequence[str]) -> str:
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
    unit = f"rig-nightly-{file.name}"
    service = SERVICE.format(
        name=file.name,
        command=" ".join(map(_quoted, command)),
        home=str(path.parent).replace("%", "%%"),
        environment=" ".join(_quoted(f"{key}={value}") for key, value in _environment().items()),
    )
    written = {
        home / f"{unit}.service": service,
        home / f"{unit}.timer": TIMER.format(name=file.name, start=file.start),
    }
    with host_trouble(f"writing {home}"):
        home.mkdir(parents=True, exist_ok=True)
        for place, text in written.items():
            place.write_text(text)
    out = [f"wrote {place}" for place in written]
    commands = (["daemon-reload"], ["enable", "--now", f"{unit}.timer"])
    for words in commands:
        argv = ["systemctl", "--user", *words]
        done = proc.run(argv, check=False, deadline=60)
        said = f": {done.stderr.strip()}" if done.status else ""
        out.append(f"{'failed' if done.status else 'ran'}   {shlex.join(argv)}{said}")
    out += [
        f"It runs every night at {file.start}; `systemctl --user list-timers` shows when.",
        "To have it run while you are not logged in: loginctl enable-linger",
        f"To remove it: systemctl --user disable --now {unit}.timer",
    ]
    return "".join(f"{line}\n" for line in out)


def _quoted(word: str) -> str:
    """A word of systemd.syntax(7), with its specifiers and variables off."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _crontab(file: NightFile, command: Sequence[str]) -> str:
    mark = f"# rig nightly {file.name}"
    hour, minute = file.start.split(":")
    words = shlex.join(["env", *(f"{k}={v}" for k, v in _environment().items()), *command])
    # cron takes % for the end of the command.
    line = f"{int(minute)} {int(hour)} * * * {words.replace('%', chr(92) + '%')} {mark}"
    listed = proc.run(["crontab", "-l"], check=False, deadline=60)
    # Without a crontab the status is 1.
    old = [] if listed.status else listed.stdout.splitlines()
    kept = [entry for entry in old if not entry.endswith(f" {mark}")]
    table = "".join(f"{entry}\n" for entry in (*kept, line))
    proc.run(["crontab", "-"], stdin=table.encode(), deadline=60)
    verb = "replaced" if len(kept) < len(old) else "added"
    return (
        f"{verb} this line in your crontab:\n{line}\n"
        f"It runs every night at {file.start}; `crontab -e` removes it.\n"
    )
