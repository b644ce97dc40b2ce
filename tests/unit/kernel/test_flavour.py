# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

import pytest

from rig import arch
from rig.errors import ConfigError
from rig.kernel import flavour, kbuild
from rig.shelves import Shelves

KCONFIGS = Shelves.default().kconfigs


def test_a_flavour_is_refused_where_it_is_not_for(tmp_path: Path) -> None:
    (tmp_path / "flavour").mkdir()
    (tmp_path / "flavour" / "both.config").write_text("# Architectures: arm64, riscv64\n")
    (tmp_path / "flavour" / "all.config").write_text("# text\nCONFIG_SMP=y\n")
    assert flavour.names(tmp_path) == ("all", "both")
    assert flavour.arches(tmp_path, "both") == ("arm64", "riscv64")
    assert flavour.arches(tmp_path, "all") == ()
    flavour.check(tmp_path, "both", ("arm64", "riscv64"))
    flavour.check(tmp_path, "all", ("x86_64",))
    with pytest.raises(ConfigError, match="both is not for x86_64") as bad:
        flavour.check(tmp_path, "both", ("arm64", "x86_64"))
    assert bad.value.hint == "--arch arm64,riscv64"


@pytest.mark.parametrize("name", flavour.names(KCONFIGS))
def test_every_flavour_fits_its_architectures(name: str) -> None:
    """Its settings contradict nothing, and the architectures it names are there."""
    for arch_name in flavour.arches(KCONFIGS, name) or arch.known():
        kbuild.fragments(KCONFIGS, arch.pick(arch_name), name, ())
