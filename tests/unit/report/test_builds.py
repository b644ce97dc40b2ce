# SPDX-License-Identifier: GPL-2.0-only
from dataclasses import replace
from pathlib import Path

from rig.kernel.kbuild import KernelBuild
from rig.report import builds

BUILD = KernelBuild(
    digest="b01d", arch="x86_64", label="unmap-batch@v2 on v6.12", release="6.12.0-rig",
    directory=Path("/b"), image=Path("/b/bzImage"), vmlinux=Path("/b/vmlinux"), warnings=(),
    seconds=123.4, objects=1042, reused=False,
)  # fmt: skip


def test_what_was_made_and_where_it_is() -> None:
    assert builds.render([BUILD]) == (
        "x86_64  unmap-batch@v2 on v6.12  6.12.0-rig: 1042 objects compiled in 123 s\n"
        "  /b/bzImage\n"
        "  /b/vmlinux\n"
    )


def test_what_was_there() -> None:
    first = builds.render([replace(BUILD, reused=True, objects=0)]).splitlines()[0]
    assert first == "x86_64  unmap-batch@v2 on v6.12  6.12.0-rig: reused"


def test_warnings_and_other_builds_follow() -> None:
    warned = replace(BUILD, warnings=("mm/x.c:1: warning: unused",))
    lines = builds.render([warned, replace(BUILD, arch="arm64")]).splitlines()
    assert lines[3] == "  mm/x.c:1: warning: unused"
    assert lines[4].startswith("arm64  ")
