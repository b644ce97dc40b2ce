# SPDX-License-Identifier: GPL-2.0-only
"""Probes with a QEMU of the test's own; the host's compiler makes the guest."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rig import arch
from rig.arch import Arch
from rig.errors import ConfigError, InfraError
from rig.guest import accel
from rig.guest.qemu import Accel
from rig.log import Event
from rig.store import Store

Program = Callable[[str, str], Path]
HOST = next(one for one in arch.known().values() if one.is_host())
FOREIGN = next(one for one in arch.known().values() if not one.is_host())
WORKS = "echo; echo 'rig: this accelerator works'"


@pytest.fixture
def qemu(program: Program, tmp_path: Path) -> Callable[..., None]:
    """QEMU says this under KVM and that under TCG; what is booted is written to `booted`."""

    def write(kvm: str = "exit 1", tcg: str = WORKS, version: str = "7.2.22") -> None:
        program(
            HOST.qemu,
            f"""
            case "$*" in
            --version) echo "QEMU emulator version {version}"; echo "Copyright" ;;
            *"-accel kvm"*) echo kvm >> {tmp_path}/booted; {kvm} ;;
            *"-accel tcg"*) echo tcg >> {tmp_path}/booted; {tcg} ;;
            esac""",
        )

    write()
    return write


@pytest.fixture(autouse=True)
def _fakes_write_where_they_like(unboxed: None) -> None: ...


@pytest.fixture(autouse=True)
def kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """/dev/kvm of the test's own; it is there."""
    device = tmp_path / "kvm"
    device.touch()
    real = Path
    monkeypatch.setattr(accel, "Path", lambda path: device if path == "/dev/kvm" else real(path))
    return device


def booted(tmp_path: Path) -> list[str]:
    path = tmp_path / "booted"
    return path.read_text().split() if path.is_file() else []


def test_one_that_answers_works_and_is_remembered(
    store: Store, qemu: Callable[..., None], tmp_path: Path, events: list[Event]
) -> None:
    found = accel.probe(store, HOST, Accel.TCG)
    assert (found.arch, found.accel, found.works) == (HOST.name, Accel.TCG, True)
    assert found.why.startswith("a guest boots in ")
    assert accel.probe(store, HOST, Accel.TCG) == found
    assert booted(tmp_path) == ["tcg"]
    steps = [event.title for event in events if event.kind == "begin"]
    assert steps == [f"Booting the smallest {HOST.name} guest under tcg"]


def test_a_device_that_is_there_proves_nothing(
    store: Store, qemu: Callable[..., None], tmp_path: Path
) -> None:
    qemu(
        kvm=f"echo '{HOST.qemu}: warning: host does not support x' >&2; "
        f"echo '{HOST.qemu}: failed to set MSR 0x10a' >&2; kill -ABRT $$"
    )
    found = accel.probe(store, HOST, Accel.KVM)
    assert not found.works
    assert found.why == (
        "/dev/kvm is there, but a guest does not boot under it: failed to set MSR 0x10a"
    )
    assert accel.probe(store, HOST, Accel.KVM) == found
    assert booted(tmp_path) == ["kvm"], "a no under KVM is remembered: it may take ten seconds"


def test_one_that_spins_for_ever_does_not_work(
    store: Store, qemu: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accel, "DEADLINE", 0.5)
    qemu(kvm="sleep 1000")
    found = accel.probe(store, HOST, Accel.KVM)
    assert found.why == (
        "/dev/kvm is there, but a guest does not boot under it: no answer within 0.5 s"
    )


def test_a_no_under_tcg_is_this_moments_and_not_remembered(
    store: Store, qemu: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that was too busy once must not be without an accelerator for good."""
    qemu(tcg="exit 3")
    found = accel.probe(store, HOST, Accel.TCG)
    assert (found.works, found.why) == (False, "a guest does not boot under it: QEMU ended with 3")
    qemu()
    assert accel.probe(store, HOST, Accel.TCG).works


@pytest.mark.parametrize("change", ["qemu", "kernel", "probe"])
def test_another_host_is_asked_again(
    store: Store,
    qemu: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    accel.probe(store, HOST, Accel.TCG)
    if change == "qemu":
        qemu(version="8.0")
    elif change == "kernel":
        monkeypatch.setattr("platform.release", lambda: "another")
    asked: Arch = replace(HOST, cpu="another") if change == "probe" else HOST
    accel.probe(store, asked, Accel.TCG)
    assert booted(tmp_path) == ["tcg", "tcg"]


def test_kvm_is_the_hosts_own_and_needs_its_device(
    store: Store, qemu: Callable[..., None], kvm: Path, tmp_path: Path
) -> None:
    assert accel.probe(store, FOREIGN, Accel.KVM).why == "KVM runs only the host's architecture"
    kvm.unlink()
    assert accel.probe(store, HOST, Accel.KVM).why == "there is no /dev/kvm"
    assert booted(tmp_path) == []


def test_without_qemu_it_is_said_what_is_missing(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    absent = replace(HOST, qemu="qemu-system-absent")
    with pytest.raises(InfraError, match="qemu-system-absent is not installed") as bad:
        accel.probe(store, absent, Accel.TCG)
    assert "rig doctor" in bad.value.hint


def test_the_smallest_guest_is_made_from_its_source(
    store: Store, qemu: Callable[..., None], tmp_path: Path
) -> None:
    qemu(tcg=f'for word; do case $word in *.bin) cp "$word" {tmp_path}/rom ;; esac; done; {WORKS}')
    accel.probe(store, HOST, Accel.TCG)
    assert b"rig: this accelerator works\n" in (tmp_path / "rom").read_bytes()


# Choosing


@pytest.mark.parametrize(
    ("kvm_says", "chosen"), [(WORKS, Accel.KVM), ("exit 1", Accel.TCG)], ids=["works", "does not"]
)
def test_the_first_that_works_is_taken(
    store: Store, qemu: Callable[..., None], kvm_says: str, chosen: Accel
) -> None:
    qemu(kvm=kvm_says)
    assert accel.choose(store, HOST) is chosen
    assert accel.choose(store, HOST, "tcg") is Accel.TCG


def test_one_that_is_asked_for_must_work(store: Store, qemu: Callable[..., None]) -> None:
    with pytest.raises(
        ConfigError, match=f"kvm does not work for {HOST.name} here: /dev/kvm"
    ) as bad:
        accel.choose(store, HOST, "kvm")
    assert bad.value.hint == "--accel auto"
    with pytest.raises(ConfigError, match="no accelerator named 'kmv'") as bad:
        accel.choose(store, HOST, "kmv")
    assert bad.value.hint == "did you mean kvm?"


def test_where_none_works_it_is_the_hosts_trouble(store: Store, qemu: Callable[..., None]) -> None:
    qemu(tcg="exit 1")
    with pytest.raises(InfraError, match=f"no accelerator runs {HOST.name} guests here") as bad:
        accel.choose(store, HOST)
    assert "rig doctor" in bad.value.hint
