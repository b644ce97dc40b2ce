# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

import pytest

from rig import arch
from rig.campaigns.census import Holding
from rig.cli import doctor, requirements
from rig.cli.doctor import Findings
from rig.cli.requirements import Need
from rig.guest import accel
from rig.guest.accel import Probe
from rig.guest.qemu import Accel
from rig.kernel import sandbox
from rig.store import Store

STANDARD = tuple(arch.standard().values())
BC = Need(package="bc", why="the kernel's build asks it", programs=("bc",))
CCACHE = Need(package="ccache", why="quicker builds", programs=("ccache",), optional=True)


def probe(name: str, kind: Accel, works: bool) -> Probe:
    return Probe(arch=name, accel=kind, works=works, why=f"why {name} {kind}")


def probes(*broken: str) -> tuple[Probe, ...]:
    return tuple(
        probe(name, kind, kind is Accel.TCG and name not in broken)
        for name in arch.standard()
        for kind in Accel
    )


def findings(**fields: object) -> Findings:
    defaults = {"arches": tuple(arch.standard()), "missing": (), "probes": (), "unconfined": ""}
    return Findings(**(defaults | {"store": "/s"} | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("missing", "probed", "healthy"),
    [
        ((), probes(), True),
        ((CCACHE,), probes(), True),
        ((BC,), probes(), False),
        ((BC, CCACHE), (), False),
        ((), probes("arm64"), False),
        ((), (), False),
    ],
)
def test_health(missing: tuple[Need, ...], probed: tuple[Probe, ...], healthy: bool) -> None:
    assert findings(missing=missing, probes=probed).healthy == healthy


def test_the_report_on_a_healthy_host() -> None:
    report = doctor.render(findings(probes=probes())).splitlines()
    assert report[:3] == [
        "store: /s",
        "host: all that the rig needs is installed",
        "sandbox: works; series are built and booted in it",
    ]
    assert any(line.split()[:3] == ["arm64", "tcg", "yes"] for line in report)
    assert any(line.split()[:3] == ["x86_64", "kvm", "no"] for line in report)
    assert "why x86_64 kvm" in "\n".join(report)
    assert not any("--fix" in line for line in report)


def test_the_report_says_what_the_store_holds() -> None:
    held = (
        Holding(kind="lanes", bytes=5 << 30, count=2),
        Holding(kind="linux.git", bytes=1 << 30, count=None),
        Holding(kind="probes", bytes=4096, count=1),
    )
    report = doctor.render(findings(probes=probes(), held=held)).splitlines()
    assert report[:5] == [
        "store: /s, 6.0 GiB",
        "  lanes           5.0 GiB      2  work trees and objects of kernel builds",
        "  linux.git       1.0 GiB         kernel sources; never removed",
        "  others          0.0 MiB         probes",
        "  `rig gc` says what can be removed",
    ]


def test_the_report_on_a_host_with_missing_packages() -> None:
    report = doctor.render(findings(missing=(BC, CCACHE), unconfined="no bwrap")).splitlines()
    assert report == [
        "store: /s",
        "MISSING: bc: the kernel's build asks it",
        "optional: ccache: quicker builds",
        "sandbox: does not work: a series cannot be confined here: no bwrap",
        f"  {sandbox.refusal('no bwrap').hint}",
        "`rig doctor --fix` installs what is missing",
    ]


def test_what_a_named_architecture_lacks_is_installed_by_naming_it() -> None:
    report = doctor.render(findings(arches=("riscv64",), missing=(BC,))).splitlines()
    assert report[-1] == "`rig doctor --fix --arch riscv64` installs what is missing"


def test_a_missing_accelerator_is_named_and_fix_is_not_suggested() -> None:
    report = doctor.render(findings(probes=probes("arm64")))
    assert "--fix" not in report
    assert "no accelerator works for arm64: the rig cannot test there" in report


@pytest.mark.parametrize("fix", [False, True])
def test_nothing_is_installed_without_fix(
    store: Store, monkeypatch: pytest.MonkeyPatch, fix: bool
) -> None:
    absent = [BC]
    probed: list[tuple[str, Accel]] = []
    monkeypatch.setattr(requirements, "missing", lambda needs: tuple(absent))
    monkeypatch.setattr(requirements, "install", lambda needs: absent.clear())

    def fake_probe(store: Store, target: arch.Arch, kind: Accel) -> Probe:
        probed.append((target.name, kind))
        return probe(target.name, kind, True)

    monkeypatch.setattr(accel, "probe", fake_probe)
    result = doctor.examine(store, STANDARD, fix=fix)
    assert result.missing == (() if fix else (BC,))
    assert result.healthy == fix
    assert result.store == str(store.root)
    everything = [(name, kind) for name in arch.standard() for kind in Accel]
    assert probed == (everything if fix else []), "no probe runs while programs are missing"


def test_a_missing_optional_package_does_not_prevent_probes(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(requirements, "missing", lambda needs: (CCACHE,))
    monkeypatch.setattr(accel, "probe", lambda store, target, kind: probe(target.name, kind, True))
    assert doctor.examine(store, STANDARD, fix=False).healthy
