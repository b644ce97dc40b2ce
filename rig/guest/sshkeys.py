# SPDX-License-Identifier: GPL-2.0-only
"""Makes SSH keys for one boot: the guest's host key in dropbear's format, and the user's key."""

import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from rig.guest import cpio


@dataclass(frozen=True, slots=True)
class Key:
    private: bytes
    """OpenSSH's private key file."""
    public: str
    """As a line of authorized_keys."""
    dropbear: bytes
    """dropbear's private key file."""


def make() -> Key:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    kind = b"ssh-ed25519"
    # dropbear's src/ed25519.c, buf_put_ed25519_priv_key(): type, 64, private half, public half.
    dropbear = struct.pack(">I", len(kind)) + kind + struct.pack(">I", 64) + private + public
    return Key(
        private=key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        public=key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
        dropbear=dropbear,
    )


def pack(host: Key, user: Key) -> bytes:
    """The guest's host key and the user's public key, as an archive to append to the image's."""
    return cpio.archive(
        [
            cpio.directory("root", 0o700),
            cpio.directory("root/.ssh", 0o700),
            cpio.file("root/.ssh/authorized_keys", f"{user.public}\n".encode(), 0o600),
            cpio.file("etc/dropbear/key", host.dropbear, 0o600),
        ]
    )
