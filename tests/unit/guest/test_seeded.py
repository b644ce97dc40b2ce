# SPDX-License-Identifier: GPL-2.0-only
"""Runs of a fake QEMU. tests/kernel has a real one, and checks that its output is reproducible."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rig.errors import InfraError
from rig.guest import seeded
from rig.guest.boot import Software
from rig.guest.qemu import Accel, Machine, Seeded, Swap

MACHINE = Machine(
    arch="x86_64", accel=Accel.TCG, swap=Swap(disk=0), schedule=Seeded(seed=3), cmdline=("quiet",)
)
COMMAND = ("stale_tlb", "anon_lost_write", "--iterations", "8")
FILES = """
for word; do
	case $word in
	file:*) console=${word#file:} ;;
	file,id=answer,path=*) answer=${word#file,id=answer,path=} ;;
	rig.*|console=*) echo "$word" ;;
	esac
done
"""
ANSWERS = """
echo 'KTAP version 1' >"$answer"
echo 'rig: the program ended with 1' >"$console"
"""


@pytest.fixture
def boot(tmp_path: Path, program: Callable[[str, str], Path]) -> Callable[..., seeded.Finished]:
    """Run COMMAND in a fake QEMU that executes the shell commands `does`."""

    def run(
        does: str,
        name: str = "run",
        command: tuple[str, ...] = COMMAND,
        deadline: float = 60,
        steady: Path | None = None,
    ) -> seeded.Finished:
        program("qemu-system-x86_64", FILES + does)
        for file in filter(None, (tmp_path / "vmlinux", steady)):
            file.touch()
        software = Software(kernel=tmp_path / "bzImage", initrd=(b"archive",), steady=steady)
        return seeded.run(MACHINE, software, command, tmp_path / name, deadline=deadline)

    return run


def test_a_run_has_the_programs_output_and_status(
    boot: Callable[..., seeded.Finished], tmp_path: Path
) -> None:
    ran = boot(ANSWERS)
    assert (ran.status, ran.stdout) == (1, "KTAP version 1\n")
    command_line = (tmp_path / "run" / "qemu.cmd").read_text()
    assert "rig.run=stale_tlb,anon_lost_write,--iterations,8" in command_line
    assert "rig.answer=/dev/ttyS1" in command_line and " quiet " in command_line
    assert f"-kernel {tmp_path / 'vmlinux'} " in command_line, "not a live guest's image"
    assert not (tmp_path / "run" / "initrd").exists()


def test_the_digest_is_of_every_byte_of_both_consoles(
    boot: Callable[..., seeded.Finished],
) -> None:
    digests = {
        boot(ANSWERS, "a").digest,
        boot(ANSWERS, "b").digest,
        boot(ANSWERS + 'printf x >>"$answer"', "c").digest,
        boot(ANSWERS + 'printf x >>"$console"', "d").digest,
    }
    assert len(digests) == 3


def test_a_guest_that_exits_before_its_program_has_no_status(
    boot: Callable[..., seeded.Finished],
) -> None:
    assert boot('echo "Kernel panic" >"$console"; : >"$answer"').status is None


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ("echo 'no such machine' >&2; exit 1", "QEMU ended with status 1"),
        (': >"$console"', "QEMU does not start"),
        ('echo "rig: setup failed: no zram" >"$console"', "the guest's setup failed: no zram"),
    ],
)
def test_trouble_of_the_host_is_not_the_kernels_fault(
    does: str, message: str, boot: Callable[..., seeded.Finished]
) -> None:
    with pytest.raises(InfraError, match=message):
        boot(does)


def test_a_run_without_effect_of_the_preload_is_rejected(
    boot: Callable[..., seeded.Finished], tmp_path: Path
) -> None:
    library = tmp_path / "steady.so"
    waited = "echo 'rig: the main loop waited {} times' >&2"
    ran = boot(ANSWERS + waited.format(17), steady=library)
    assert ran.status == 1
    command_line = (tmp_path / "run" / "qemu.cmd").read_text()
    assert command_line.startswith(f"LD_PRELOAD={library} ")
    for does in (ANSWERS, ANSWERS + waited.format(0)):
        with pytest.raises(InfraError, match=r"not deterministic .*: steady\.so has no effect"):
            boot(does, steady=library)


def test_a_hung_guest_is_stopped(boot: Callable[..., seeded.Finished]) -> None:
    with pytest.raises(seeded.GuestLost, match="does not exit within"):
        boot('echo "Linux version" >"$console"; exec tail -f /dev/null', deadline=3)


@pytest.mark.parametrize("word", ["a,b", "a b", 'a"b'])
def test_an_argument_the_kernel_command_line_cannot_hold(
    word: str, boot: Callable[..., seeded.Finished]
) -> None:
    with pytest.raises(InfraError, match="cannot be passed"):
        boot(ANSWERS, command=("stale_tlb", word))
