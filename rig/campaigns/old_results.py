# SPDX-License-Identifier: GPL-2.0-only
"""Converts results that were stored until November 2026 to today's format.

They have no request and no subject: both are made from the label and other fields. No other module
parses a label.
"""

import re
from typing import Any

Document = dict[str, Any]

MOVED = ("flavour", "mutant", "seed", "iterations", "pages")
"""Fields that moved from Provenance to its Request."""
TREE = re.compile(r"git tree (.+), ")
"""The start of `origin` if the base was a revision of the user's tree."""
DIFFERENCES = {"not of hardware": "not judged (TCG time)"}
"""Old values of statistics.Difference -> today's."""


def result(document: Document) -> Document:
    provenance = document["provenance"]
    if "request" in provenance:
        return document
    moved = {name: provenance[name] for name in MOVED if name in provenance}
    kept = {name: value for name, value in provenance.items() if name not in MOVED}
    request = _request(provenance["label"], provenance["origin"], document["machine"]) | moved
    request |= {
        "promises": provenance.get("promises", ()),
        "unconfined": bool(provenance.get("unconfined")),
    }
    subject = _subject(provenance["label"])
    return document | {"provenance": kept | {"request": request, "subject": subject}}


def mutation(document: Document) -> Document:
    rows = [row if "cases" in row else _row(row) for row in document["rows"]]
    return document | {"clean": [result(clean) for clean in document["clean"]], "rows": rows}


def _row(row: Document) -> Document:
    """A row that lists the runs in which a case has killed, and those in which none has.

    Its fate stays: one case was enough then.
    """
    kept = {name: row[name] for name in ("mutant", "arch", "fate", "reason", "others")}
    names = dict.fromkeys((*(kill["case"] for kill in row["kills"]), *row["missed"]))
    return kept | {"cases": [_case(row, name) for name in names]}


def _case(row: Document, name: str) -> Document:
    kills = [
        {"seed": row["seed"]} | {key: value for key, value in kill.items() if key != "case"}
        for kill in row["kills"]
        if kill["case"] == name
    ]
    missed = row["missed"].count(name)
    return {
        "case": name,
        "fate": "KILLED" if kills and not missed else "SURVIVED",
        "guests": len(kills) + missed,
        "seeds": [row["seed"]] if row["seed"] else [],
        "kills": kills,
    }


def comparison(document: Document) -> Document:
    lines = [
        line | {"difference": DIFFERENCES.get(line["difference"], line["difference"])}
        for line in document["lines"]
    ]
    document = document | {"lines": lines}
    if "request" in document:
        return document
    after, before = document["after"], document["before"]
    return document | {
        "request": _request(after, document["origin"], document["machine"]),
        "against": _target(before),
        "subject": _subject(after),
    }


def _target(label: str) -> str:
    """`below@v1 + batch@v2:3 on v6.12` -> `batch@v2:3`."""
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
