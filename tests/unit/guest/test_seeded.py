# SPDX-License-Identifier: GPL-2.0-only
"""A QEMU of the test's own; that a real one gives the same bytes twice is in tests/kernel."""

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
SPEAKS = """
echo 'KTAP version 1' >"$answer"
echo 'rig: the program ended with 1' >"$console"
"""


@pytest.fixture
def boot(tmp_path: Path, program: Callable[[str, str], Path]) -> Callable[..., seeded.Finished]:
    """Run COMMAND under a QEMU that does as it is told."""

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


def test_what_the_program_said_and_how_it_ended(
    boot: Callable[..., seeded.Finished], tmp_path: Path
) -> None:
    ran = boot(SPEAKS)
    assert (ran.status, ran.stdout) == (1, "KTAP version 1\n")
    started = (tmp_path / "run" / "qemu.cmd").read_text()
    assert "rig.run=stale_tlb,anon_lost_write,--iterations,8" in started
    assert "rig.answer=/dev/ttyS1" in started and " quiet " in started
    assert f"-kernel {tmp_path / 'vmlinux'} " in started, "not the one that a guest of live has"
    assert not (tmp_path / "run" / "initrd").exists()


def test_the_digest_is_of_every_byte_of_both_consoles(
    boot: Callable[..., seeded.Finished],
) -> None:
    digests = {
        boot(SPEAKS, "a").digest,
        boot(SPEAKS, "b").digest,
        boot(SPEAKS + 'printf x >>"$answer"', "c").digest,
        boot(SPEAKS + 'printf x >>"$console"', "d").digest,
    }
    assert len(digests) == 3


def test_a_guest_that_ends_before_its_program_has_no_status(
    boot: Callable[..., seeded.Finished],
) -> None:
    assert boot('echo "Kernel panic" >"$console"; : >"$answer"').status is None


@pytest.mark.parametrize(
    ("does", "complaint"),
    [
        ("echo 'no such machine' >&2; exit 1", "QEMU does not start"),
        (': >"$console"', "QEMU does not start"),
        ('echo "rig: setup failed: no zram" >"$console"', "the guest's setup failed: no zram"),
    ],
)
def test_a_host_that_cannot_is_the_rigs_trouble(
    does: str, complaint: str, boot: Callable[..., seeded.Finished]
) -> None:
    with pytest.raises(InfraError, match=complaint):
        boot(does)


def test_a_qemu_that_is_not_kept_steady_is_not_believed(
    boot: Callable[..., seeded.Finished], tmp_path: Path
) -> None:
    library = tmp_path / "steady.so"
    says = "echo 'rig: the main loop waited {} times' >&2"
    ran = boot(SPEAKS + says.format(17), steady=library)
    assert ran.status == 1
    started = (tmp_path / "run" / "qemu.cmd").read_text()
    assert started.startswith(f"LD_PRELOAD={library} ")
    for does in (SPEAKS, SPEAKS + says.format(0)):
        with pytest.raises(InfraError, match="cannot be kept steady"):
            boot(does, steady=library)


def test_a_hung_guest_is_ended(boot: Callable[..., seeded.Finished]) -> None:
    with pytest.raises(seeded.GuestLost, match="does not come to its end"):
        boot("exec tail -f /dev/null", deadline=0.2)


@pytest.mark.parametrize("word", ["a,b", "a b", 'a"b'])
def test_a_word_the_kernel_command_line_cannot_hold(
    word: str, boot: Callable[..., seeded.Finished]
) -> None:
    with pytest.raises(InfraError, match="cannot be said"):
        boot(SPEAKS, command=("stale_tlb", word))
