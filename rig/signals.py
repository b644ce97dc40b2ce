# SPDX-License-Identifier: GPL-2.0-only
"""Ctrl-C reaches the main thread, whichever thread the kernel gives the signal to.

Python runs signal handlers in the main thread, as soon as that runs Python code. If the main thread
waits for a lock, and so for a guest, the signal must interrupt it. But the kernel may deliver a
signal to any thread of the process (kernel/signal.c: complete_signal()), and then nothing happens
until the guests have ended.
"""

import os
import signal
import threading

WAKE = signal.SIGURG
"""It interrupts the main thread, and means nothing: by default it is ignored."""


def wake_main() -> None:
    """Interrupt the main thread after each signal. In another thread, or again, it does nothing."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(WAKE) is _nothing:
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if before != -1:  # somebody else's, who wakes by himself
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)
        return
    signal.signal(WAKE, _nothing)
    main = threading.get_ident()
    threading.Thread(target=_pass_on, args=(reader, main), name="signals", daemon=True).start()


def _nothing(number: int, frame: object) -> None:
    """Handle WAKE."""


def _pass_on(reader: int, main: int) -> None:
    while numbers := os.read(reader, 64):
        if any(number != WAKE for number in numbers):
            signal.pthread_kill(main, WAKE)
