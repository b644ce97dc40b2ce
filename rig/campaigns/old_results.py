# SPDX-License-Identifier: GPL-2.0-only
"""Results of rigs until November 2026, as today's have them.

They had no request, and no subject: both are read from the label and from what lay around them.
Nothing else reads a label.
"""

import re
from typing import Any

Document = dict[str, Any]

MOVED = ("flavour", "mutant", "seed", "iterations", "pages")
"""From Provenance to its Request."""
TREE = re.compile(r"git tree (.+), ")
"""How `origin` begins where the base was a revision of the user's tree."""


def result(document: Document) -> Document:
    known = document["provenance"]
    if "request" in known:
        return document
    moved = {name: known[name] for name in MOVED if name in known}
    kept = {name: value for name, value in known.items() if name not in MOVED}
    asked = _request(known["label"], known["origin"], document["machine"]) | moved
    asked |= {"promises": known.get("promises", ()), "unconfined": bool(known.get("unconfined"))}
    subject = _subject(known["label"])
    return document | {"provenance": kept | {"request": asked, "subject": subject}}


def mutation(document: Document) -> Document:
    return document | {"clean": [result(clean) for clean in document["clean"]]}


def comparison(document: Document) -> Document:
    if "request" in document:
        return document
    after, before = document["after"], document["before"]
    return document | {
        "request": _request(after, document["origin"], document["machine"]),
        "against": _target(before),
        "subject": _subject(after),
    }


def _target(label: str) -> str:
    """batch@v2:3 of `below@v1 + batch@v2:3 on v6.12`."""
    return label.rpartition(" on ")[0].rpartition(" + ")[2] or label


def _subject(label: str) -> Document:
    names, _, base = label.rpartition(" on ")
    series, _, upto = names.partition(":")
    return {
        "base": base,
        "series": series.split(" + ") if series else [],
        "upto": int(upto) if upto else None,
    }


def _request(label: str, origin: str, machine: Document) -> Document:
    base = label.rpartition(" on ")
    tree = TREE.match(origin)
    return {
        "target": _target(label),
        "base": base[2] if base[1] else "",
        "tree": tree[1] if tree else None,
        "arch": [machine["arch"]],
        "schedule": machine["schedule"]["kind"],
        "cpus": machine["cpus"],
        "memory": machine["memory"],
        "zram": machine["swap"]["zram"],
        "swap_disk": machine["swap"]["disk"],
        "lru_gen": machine["lru_gen"],
    }
