# SPDX-License-Identifier: GPL-2.0-only
"""A seccomp filter for what no namespace separates: the kernel's keyrings, and sockets that leave
the host by another way than its network.

The user's session keyring goes to every process that the user starts (keyrings(7)). A socket of
AF_VSOCK reaches the hypervisor, and services of the host, from any network namespace (vsock(7)).
io_uring makes sockets without a system call that a filter sees, so it is refused too.
"""

import platform
import socket
import struct
from errno import EAFNOSUPPORT, ENOSYS

FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
"""Each network namespace has its own sockets of these."""
URING = (425, 426, 427)
# AUDIT_ARCH_*; socket; add_key, request_key, keyctl. The last two use the generic table.
NUMBERS = {
    "x86_64": (0xC000003E, 41, (248, 249, 250)),
    "aarch64": (0xC00000B7, 198, (217, 218, 219)),
    "riscv64": (0xC00000F3, 198, (217, 218, 219)),
}
X32 = 0x40000000
"""The bit of x86_64's other system calls: with it, the same call has another number."""
NUMBER, ARCH, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data (seccomp(2))
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # classic BPF (linux/bpf_common.h)
ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # SECCOMP_RET_*


def program(machine: str = "") -> bytes:
    """The filter for this host, or for a `machine` as uname(2) names it: an array of struct
    sock_filter. Empty if the rig does not know the machine's numbers.

    A refused call fails as in a kernel that was built without it. 32-bit programs cannot run.
    """
    if (machine or platform.machine()) not in NUMBERS:
        return b""
    arch, sockets, keys = NUMBERS[machine or platform.machine()]
    # Operation, value, and where a comparison goes if it is true and if it is false.
    code: list[tuple[int, int, str, str]] = [
        (LOAD, ARCH, "", ""),
        (EQUAL, arch, "", "absent"),
        (LOAD, NUMBER, "", ""),
        (AT_LEAST, X32, "absent", ""),
        *((EQUAL, number, "absent", "") for number in (*keys, *URING)),
        (EQUAL, sockets, "", "allowed"),
        (LOAD, FIRST_ARGUMENT, "", ""),
        *((EQUAL, int(family), "allowed", "") for family in FAMILIES),
        (RETURN, ERRNO | EAFNOSUPPORT, "", ""),
        (RETURN, ERRNO | ENOSYS, "", ""),
        (RETURN, ALLOW, "", ""),
    ]
    places = {"absent": len(code) - 2, "allowed": len(code) - 1}

    def skipped(index: int, place: str) -> int:
        return places[place] - index - 1 if place else 0

    return b"".join(
        struct.pack("=HBBI", operation, skipped(index, yes), skipped(index, no), value)
        for index, (operation, value, yes, no) in enumerate(code)
    )
