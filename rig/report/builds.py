# SPDX-License-Identifier: GPL-2.0-only
"""The output of `rig build`: kernels that were built, and kernels that were reused."""

from collections.abc import Sequence

from rig import printable
from rig.kernel.kbuild import KernelBuild


def render(builds: Sequence[KernelBuild]) -> str:
    lines = []
    for build in builds:
        how = (
            "reused"
            if build.reused
            else f"{build.objects} objects compiled in {build.seconds:.0f} s"
        )
        lines.append(f"{build.arch}  {build.label}  {build.release}: {how}")
        lines += [f"  {build.image}", f"  {build.vmlinux}"]
        lines += [f"  {line}" for line in build.warnings]
    return printable.page(lines)
