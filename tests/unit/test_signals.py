# SPDX-License-Identifier: GPL-2.0-only
import subprocess
import sys

import pytest

PROGRAM = """
import os, pathlib, signal, sys, threading
from rig.signals import wake_main

def other():
    stat = pathlib.Path(f"/proc/self/task/{{os.getpid()}}/stat")
    waits.wait()
    while stat.read_text().rpartition(")")[2].split()[0] != "S":
        pass  # until the main thread waits for the lock
    signal.pthread_kill(threading.get_ident(), signal.{number})

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.default_int_handler)
{call}
waits = threading.Event()
threading.Thread(target=other, daemon=True).start()
lock = threading.Lock()
lock.acquire()
try:
    waits.set()
    lock.acquire()
except KeyboardInterrupt:
    sys.exit(7)
"""


def ended(number: str, call: str, seconds: float) -> int:
    words = [sys.executable, "-c", PROGRAM.format(number=number, call=call)]
    return subprocess.run(words, timeout=seconds, check=False).returncode


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_to_another_thread_interrupts_the_main_thread(number: str) -> None:
    assert ended(number, "wake_main(); wake_main()", 60) == 7


def test_without_it_the_main_thread_goes_on_waiting() -> None:
    """Or the test above shows nothing."""
    with pytest.raises(subprocess.TimeoutExpired):
        ended("SIGINT", "", 3)


def test_the_wakeup_of_somebody_else_stays() -> None:
    program = """
import os, signal
from rig.signals import wake_main
reader, writer = os.pipe()
os.set_blocking(writer, False)
signal.set_wakeup_fd(writer)
wake_main()
assert signal.set_wakeup_fd(-1) == writer
assert signal.getsignal(signal.SIGURG) is signal.SIG_DFL
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
