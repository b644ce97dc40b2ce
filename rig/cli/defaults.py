# SPDX-License-Identifier: GPL-2.0-only
"""The user's defaults: config.toml in the user's configuration directory for `rig`.

Each key is an option of a run, without the dashes:

arch = "x86_64,arm64"
tree = "~/linux"
cpus = 2

The command line goes before the file, and can set each key back (Option.words).
"""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rig.campaigns.options import OPTIONS, config_file
from rig.errors import ConfigError, unknown


def load(verbs: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Verb -> option -> default, as on a command line. Empty if there is no file.

    Raises ConfigError for a file that is not TOML, and for an unknown option.
    """
    try:
        document = tomllib.loads(config_file().read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{config_file()} cannot be read: {error}") from error
    by_flag = {entry.flag.removeprefix("--"): entry for entry in OPTIONS.values()}
    values = {}
    for name, value in document.items():
        if name not in by_flag:
            raise unknown(f"option for {config_file()}", name, by_flag)
        entry = by_flag[name]
        text = ",".join(map(str, value)) if isinstance(value, list) else value
        values[entry.name] = str(Path(text).expanduser()) if text and entry.kind is Path else text
    return dict.fromkeys(verbs, values)
