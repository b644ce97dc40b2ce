# SPDX-License-Identifier: GPL-2.0-only
"""Probes with a fake QEMU. The minimal guest is built with the host's compiler."""

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
HOST = next(target for target in arch.known().values() if target.is_host())
FOREIGN = next(target for target in arch.known().values() if not target.is_host())
WORKS = "echo; echo 'rig: this accelerator works'"


@pytest.fixture
def qemu(program: Program, tmp_path: Path) -> Callable[..., None]:
    """A fake QEMU that runs `kvm` under KVM and `tcg` under TCG, and logs the boots to `booted`."""

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
def _fakes_write_outside_the_sandbox(unboxed: None) -> None: ...


@pytest.fixture(autouse=True)
def kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake /dev/kvm, which exists."""
    device = tmp_path / "kvm"
    device.touch()
    real = Path
    monkeypatch.setattr(accel, "Path", lambda path: device if path == "/dev/kvm" else real(path))
    return device


def booted(tmp_path: Path) -> list[str]:
    path = tmp_path / "booted"
    return path.read_text().split() if path.is_file() else []


def test_an_accelerator_that_boots_works_and_is_stored(
    store: Store, qemu: Callable[..., None], tmp_path: Path, events: list[Event]
) -> None:
    result = accel.probe(store, HOST, Accel.TCG)
    assert (result.arch, result.accel, result.works) == (HOST.name, Accel.TCG, True)
    assert result.why.startswith("a guest boots in ")
    assert accel.probe(store, HOST, Accel.TCG) == result
    assert booted(tmp_path) == ["tcg"]
    steps = [event.title for event in events if event.kind == "begin"]
    assert steps == [f"Booting a minimal {HOST.name} guest under tcg"]


def test_a_device_that_exists_is_no_proof(
    store: Store, qemu: Callable[..., None], tmp_path: Path
) -> None:
    qemu(
        kvm=f"echo '{HOST.qemu}: warning: host does not support x' >&2; "
        f"echo '{HOST.qemu}: failed to set MSR 0x10a' >&2; kill -ABRT $$"
    )
    result = accel.probe(store, HOST, Accel.KVM)
    assert not result.works
    assert result.why == (
        "/dev/kvm exists, but a guest does not boot under it: failed to set MSR 0x10a"
    )
    assert accel.probe(store, HOST, Accel.KVM) == result
    assert booted(tmp_path) == ["kvm"], "a failure under KVM is stored: it may take ten seconds"


def test_an_accelerator_that_hangs_does_not_work(
    store: Store, qemu: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accel, "DEADLINE", 0.5)
    qemu(kvm="sleep 1000")
    result = accel.probe(store, HOST, Accel.KVM)
    assert result.why == (
        "/dev/kvm exists, but a guest does not boot under it: no answer within 0.5 s"
    )


def test_a_failure_under_tcg_is_not_stored(
    store: Store, qemu: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a host that was too busy once would have no accelerator any more."""
    qemu(tcg="exit 3")
    result = accel.probe(store, HOST, Accel.TCG)
    assert not result.works
    assert result.why == "a guest does not boot under it: QEMU exited with status 3"
    qemu()
    assert accel.probe(store, HOST, Accel.TCG).works


@pytest.mark.parametrize("content", ["", "{", "{}", "garbage", '{"works": true}'])
def test_a_damaged_probe_is_made_again(
    store: Store, qemu: Callable[..., None], tmp_path: Path, content: str
) -> None:
    """`rig doctor` reads it as well."""
    accel.probe(store, HOST, Accel.TCG)
    (manifest,) = (store.root / "probes").glob("*/manifest.json")
    manifest.write_text(content)
    assert accel.probe(store, HOST, Accel.TCG).works
    assert booted(tmp_path) == ["tcg", "tcg"]


@pytest.mark.parametrize("change", ["qemu", "kernel", "probe"])
def test_another_host_is_probed_again(
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
    host: Arch = replace(HOST, cpu="another") if change == "probe" else HOST
    accel.probe(store, host, Accel.TCG)
    assert booted(tmp_path) == ["tcg", "tcg"]


def test_kvm_needs_the_hosts_architecture_and_its_device(
    store: Store, qemu: Callable[..., None], kvm: Path, tmp_path: Path
) -> None:
    assert accel.probe(store, FOREIGN, Accel.KVM).why == "KVM runs only the host's architecture"
    kvm.unlink()
    assert accel.probe(store, HOST, Accel.KVM).why == "no /dev/kvm on this host"
    assert booted(tmp_path) == []


def test_a_missing_qemu_is_named(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    absent = replace(HOST, qemu="qemu-system-absent")
    with pytest.raises(InfraError, match="qemu-system-absent is not installed") as error:
        accel.probe(store, absent, Accel.TCG)
    assert "rig doctor" in error.value.hint


def test_the_minimal_guest_is_built_from_its_source(
    store: Store, qemu: Callable[..., None], tmp_path: Path
) -> None:
    qemu(tcg=f'for word; do case $word in *.bin) cp "$word" {tmp_path}/rom ;; esac; done; {WORKS}')
    accel.probe(store, HOST, Accel.TCG)
    assert b"rig: this accelerator works\n" in (tmp_path / "rom").read_bytes()


# Choosing


@pytest.mark.parametrize(
    ("kvm_says", "chosen"), [(WORKS, Accel.KVM), ("exit 1", Accel.TCG)], ids=["works", "does not"]
)
def test_the_first_accelerator_that_works_is_chosen(
    store: Store, qemu: Callable[..., None], kvm_says: str, chosen: Accel
) -> None:
    qemu(kvm=kvm_says)
    assert accel.choose(store, HOST) is chosen
    assert accel.choose(store, HOST, "tcg") is Accel.TCG


def test_an_accelerator_the_user_names_must_work(store: Store, qemu: Callable[..., None]) -> None:
    with pytest.raises(
        ConfigError, match=f"kvm does not work for {HOST.name} here: /dev/kvm"
    ) as error:
        accel.choose(store, HOST, "kvm")
    assert "--accel auto" in error.value.hint
    with pytest.raises(ConfigError, match="no accelerator named 'kmv'") as error:
        accel.choose(store, HOST, "kmv")
    assert error.value.hint == "did you mean kvm?"


def test_no_accelerator_is_trouble_of_the_host(store: Store, qemu: Callable[..., None]) -> None:
    qemu(tcg="exit 1")
    with pytest.raises(InfraError, match=f"no accelerator runs {HOST.name} guests here") as error:
        accel.choose(store, HOST)
    assert "rig doctor" in error.value.hint
