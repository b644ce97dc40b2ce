# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

import pytest

from rig import arch
from rig.cli import doctor, requirements
from rig.cli.doctor import Findings
from rig.cli.requirements import Need
from rig.guest import accel
from rig.guest.accel import Probe
from rig.guest.qemu import Accel
from rig.kernel import sandbox
from rig.store import Store

BC = Need(package="bc", why="the kernel's build asks it", programs=("bc",))
CCACHE = Need(package="ccache", why="quicker builds", programs=("ccache",), optional=True)


def probe(name: str, kind: Accel, works: bool) -> Probe:
    return Probe(arch=name, accel=kind, works=works, why=f"why {name} {kind}")


def probes(*broken: str) -> tuple[Probe, ...]:
    return tuple(
        probe(name, kind, kind is Accel.TCG and name not in broken)
        for name in arch.known()
        for kind in Accel
    )


def findings(**found: object) -> Findings:
    given = {"missing": (), "probes": (), "unconfined": "", "store": "/s", **found}
    return Findings(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("missing", "found", "healthy"),
    [
        ((), probes(), True),
        ((CCACHE,), probes(), True),
        ((BC,), probes(), False),
        ((BC, CCACHE), (), False),
        ((), probes("arm64"), False),
        ((), (), False),
    ],
)
def test_health(missing: tuple[Need, ...], found: tuple[Probe, ...], healthy: bool) -> None:
    assert findings(missing=missing, probes=found).healthy == healthy


def test_what_is_said_of_a_healthy_host() -> None:
    said = doctor.render(
        Findings(missing=(), probes=probes(), unconfined="", store="/s")
    ).splitlines()
    assert said[:3] == [
        "store: /s",
        "host: everything the rig needs is installed",
        "sandbox: works: a series is built and booted in it",
    ]
    assert any(line.split()[:3] == ["arm64", "tcg", "yes"] for line in said)
    assert any(line.split()[:3] == ["x86_64", "kvm", "no"] for line in said)
    assert "why x86_64 kvm" in "\n".join(said)
    assert not any("--fix" in line for line in said)


def test_what_is_said_of_one_that_is_not() -> None:
    said = doctor.render(
        Findings(missing=(BC, CCACHE), probes=(), unconfined="no bwrap", store="/s")
    ).splitlines()
    assert said == [
        "store: /s",
        "MISSING: bc: the kernel's build asks it",
        "optional: ccache: quicker builds",
        "sandbox: no: a series cannot be confined here: no bwrap",
        f"  {sandbox.refusal('no bwrap').hint}",
        "`rig doctor --fix` installs what is missing",
    ]


def test_what_cannot_be_installed_is_not_promised() -> None:
    said = doctor.render(findings(probes=probes("arm64")))
    assert "--fix" not in said


@pytest.mark.parametrize("fix", [False, True])
def test_nothing_is_installed_unless_it_is_wanted(
    store: Store, monkeypatch: pytest.MonkeyPatch, fix: bool
) -> None:
    absent = [BC]
    asked: list[tuple[str, Accel]] = []
    monkeypatch.setattr(requirements, "missing", lambda wanted: tuple(absent))
    monkeypatch.setattr(requirements, "install", lambda wanted: absent.clear())

    def looked(store: Store, one: arch.Arch, kind: Accel) -> Probe:
        asked.append((one.name, kind))
        return probe(one.name, kind, True)

    monkeypatch.setattr(accel, "probe", looked)
    found = doctor.examine(store, fix=fix)
    assert found.missing == (() if fix else (BC,))
    assert found.healthy == fix
    assert found.store == str(store.root)
    everything = [(name, kind) for name in arch.known() for kind in Accel]
    assert asked == (everything if fix else []), "without the host's programs nothing is booted"


def test_an_optional_need_keeps_nothing_from_being_probed(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(requirements, "missing", lambda wanted: (CCACHE,))
    monkeypatch.setattr(accel, "probe", lambda store, one, kind: probe(one.name, kind, True))
    assert doctor.examine(store, fix=False).healthy
