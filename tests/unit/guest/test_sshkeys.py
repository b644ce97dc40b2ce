# SPDX-License-Identifier: GPL-2.0-only
import base64
import io
import struct

import paramiko

from rig.guest import cpio, sshkeys


def test_a_key_in_openssh_s_format_is_read_by_paramiko() -> None:
    pair = sshkeys.make()
    key = paramiko.Ed25519Key.from_private_key(io.StringIO(pair.private.decode()))
    assert f"ssh-ed25519 {key.get_base64()}" == pair.public


def test_a_key_in_dropbears_format_is_the_same_key() -> None:
    """dropbear's keyimport.c: string "ssh-ed25519", string of 64: seed, public half."""
    pair = sshkeys.make()
    (length,) = struct.unpack(">I", pair.dropbear[:4])
    assert pair.dropbear[4 : 4 + length] == b"ssh-ed25519"
    (size,) = struct.unpack(">I", pair.dropbear[4 + length : 8 + length])
    body = pair.dropbear[8 + length :]
    assert size == len(body) == 64
    assert base64.b64decode(pair.public.split()[1]).endswith(body[32:])
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    again = Ed25519PrivateKey.from_private_bytes(body[:32]).public_key().public_bytes_raw()
    assert again == body[32:]


def test_no_two_keys_are_the_same() -> None:
    assert sshkeys.make().public != sshkeys.make().public


def test_the_guest_gets_its_host_key_and_the_public_user_key() -> None:
    host, user = sshkeys.make(), sshkeys.make()
    packed = sshkeys.pack(host, user)
    assert host.dropbear in packed
    assert f"{user.public}\n".encode() in packed
    assert user.private not in packed
    assert host.private not in packed
    assert user.dropbear not in packed
    # dropbear refuses keys that others can read or write, and a home that others can write.
    expected = cpio.archive(
        [
            cpio.directory("root", 0o700),
            cpio.directory("root/.ssh", 0o700),
            cpio.file("root/.ssh/authorized_keys", f"{user.public}\n".encode(), 0o600),
            cpio.file("etc/dropbear/key", host.dropbear, 0o600),
        ]
    )
    assert packed == expected
