# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

import pytest

from rig.errors import ConfigError
from rig.kernel import kconfig
from rig.kernel.kconfig import Fragment, Missing, Setting

DATA = Path(__file__).parents[2] / "data" / "kconfig"


def text(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def fragment(name: str) -> Fragment:
    return kconfig.parse_fragment(name, text(name))


def setting(symbol: str, value: str, fragment: str = "a.config", line: int = 1) -> Setting:
    return Setting(symbol=symbol, value=value, fragment=fragment, line=line)


KCONFIGS = {name: text(name) for name in ("Kconfig.mm", "Kconfig.debug")}


def test_a_fragment_keeps_where_each_line_is() -> None:
    base = fragment("base.config")
    assert base.name == "base.config"
    assert [(str(s), s.line) for s in base.settings] == [
        ("CONFIG_SMP=y", 4),
        ("CONFIG_NR_CPUS=8", 5),
        ('CONFIG_LOCALVERSION="-rig"', 6),
        ("CONFIG_SWAP=y", 7),
        ("CONFIG_MODULES=n", 8),
        ("CONFIG_PHYSICAL_START=0x1000000", 10),
    ]
    assert {s.where for s in base.settings if s.line == 4} == {"base.config:4"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("CONFIG_SMP", "is not a line of a config fragment"),
        ("SMP=y", "is not a line of a config fragment"),
        ("config SMP", "is not a line of a config fragment"),
        ("CONFIG_SMP =y", "is not a line of a config fragment"),
        ("CONFIG_SMP=", "has no valid Kconfig value"),
        ("CONFIG_SMP=yes", "has no valid Kconfig value"),
        ("CONFIG_SMP=y # four CPUs", "has no valid Kconfig value"),
        ('CONFIG_X="unclosed', "has no valid Kconfig value"),
        ('CONFIG_X="one" "two"', "has no valid Kconfig value"),
        ("CONFIG_X=0y12", "has no valid Kconfig value"),
    ],
)
def test_what_kconfig_would_guess_or_drop_is_an_error(line: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        kconfig.parse_fragment("a.config", f"# one\n{line}\n")
    assert caught.value.message.startswith("a.config:2: ")
    assert caught.value.hint


@pytest.mark.parametrize("value", ["y", "n", "m", "-1", "0x1F", '""', '"a \\"b\\" c"', '"a # b"'])
def test_values_survive_fragment_render_and_config(value: str) -> None:
    settings = kconfig.parse_fragment("a", f"CONFIG_X={value}\n").settings
    assert settings == (setting("CONFIG_X", value, "a"),)
    assert kconfig.parse_config(kconfig.render(settings)) == {"CONFIG_X": value}


def test_merge_has_each_symbol_once_where_it_came_first() -> None:
    merged = kconfig.merge([fragment("base.config"), fragment("debug.config")])
    assert kconfig.render(merged) == text("merged.config")
    assert next(s for s in merged if s.symbol == "CONFIG_SMP").where == "base.config:4"


def test_a_contradiction_names_both_fragments_and_the_symbol() -> None:
    first = kconfig.parse_fragment("kconfigs/base.config", "\nCONFIG_KASAN=n\n")
    second = kconfig.parse_fragment("rig/suites/reclaim/config", "CONFIG_KASAN=y\n")
    with pytest.raises(ConfigError) as caught:
        kconfig.merge([first, second])
    assert caught.value.message == (
        "CONFIG_KASAN=n at kconfigs/base.config:2 contradicts "
        "CONFIG_KASAN=y at rig/suites/reclaim/config:1"
    )


def test_a_fragment_must_not_contradict_itself() -> None:
    with pytest.raises(ConfigError, match=r"at a:1 contradicts .* at a:2"):
        kconfig.parse_fragment("a", "CONFIG_X=y\n# CONFIG_X is not set\n")
    assert len(kconfig.parse_fragment("a", "CONFIG_X=n\n# CONFIG_X is not set\n").settings) == 2


def test_a_dot_config() -> None:
    config = kconfig.parse_config(text("resolved.config"))
    assert config["CONFIG_SMP"] == "y"
    assert config["CONFIG_SWAP"] == "n"
    assert config["CONFIG_LOCALVERSION"] == '"-rig"'
    assert config["CONFIG_CC_VERSION_TEXT"].endswith('12.2.0"')
    assert len(config) == 6


def test_what_was_asked_and_does_not_hold() -> None:
    merged = kconfig.merge([fragment("base.config"), fragment("debug.config")])
    lacks = kconfig.missing(merged, kconfig.parse_config(text("resolved.config")))
    assert [kconfig.explain(lack, KCONFIGS) for lack in lacks] == text("missing.txt").splitlines()
    assert [lack.got for lack in lacks] == ["64", "n", None, None]


def test_n_holds_where_the_symbol_cannot_even_be_chosen() -> None:
    assert kconfig.missing([setting("CONFIG_X", "n")], {}) == ()
    assert kconfig.missing([setting("CONFIG_X", "y")], {"CONFIG_X": "y"}) == ()
    (lack,) = kconfig.missing([setting("CONFIG_X", "n")], {"CONFIG_X": "y"})
    assert str(lack) == "CONFIG_X=n requested at a.config:1: is y in .config"
    (lack,) = kconfig.missing([setting("CONFIG_X", "y")], {"CONFIG_X": "m"})
    assert str(lack) == "CONFIG_X=y requested at a.config:1: is m in .config"


@pytest.mark.parametrize(
    ("symbol", "needs"),
    [
        ("SMP", ""),
        ("NR_CPUS", ""),
        ("SWAP", "(MMU || SHMEM) && BLOCK && !NO_SWAP && 64BIT"),
        ("AFTER_THE_IF", "MMU || SHMEM"),
        ("OUTSIDE", "SMP"),
        ("ONE", "SMP"),
        ("LAST", ""),
        ("KASAN", "HAVE_KASAN && SYSFS && DEBUG_KERNEL"),
        (
            "TWICE",
            "ARM64 (Kconfig.debug:12) or nothing (Kconfig.debug:14)"
            " or X86 || S390 (Kconfig.debug:16)",
        ),
        ("NO_SUCH_SYMBOL", ""),
    ],
)
def test_depends_on(symbol: str, needs: str) -> None:
    assert kconfig.depends_on(f"CONFIG_{symbol}", KCONFIGS) == needs
    assert kconfig.depends_on(symbol, KCONFIGS) == needs


def test_symbols_are_those_of_entries_not_of_help_texts() -> None:
    names = {"SMP", "NR_CPUS", "SWAP", "AFTER_THE_IF", "OUTSIDE", "ONE", "LAST"}
    names |= {"KASAN", "PROVE_LOCKING", "TWICE"}
    assert kconfig.symbols(KCONFIGS) == {f"CONFIG_{name}" for name in names}


def test_a_name_nothing_is_near_to_gets_no_guess() -> None:
    lack = Missing(setting=setting("CONFIG_ZZZZZZZZ", "y"), got=None)
    assert kconfig.explain(lack, KCONFIGS).endswith("; there is no such symbol")


def test_a_file_cut_short_is_read_as_far_as_it_goes() -> None:
    cut = "config A\n\tdepends on B\n\thelp\n\t  x\nendmenu\nendif\nconfig C\n\tdepends on \\"
    assert kconfig.symbols({"K": cut}) == {"CONFIG_A", "CONFIG_C"}
    assert kconfig.depends_on("A", {"K": cut}) == "B"


def test_a_question_mark_asks_only_kernels_that_have_the_symbol() -> None:
    settings = kconfig.parse_fragment("a.config", "CONFIG_NUMA=y\n?CONFIG_MOVE=y\n").settings
    assert kconfig.render(settings) == "CONFIG_NUMA=y\nCONFIG_MOVE=y\n"
    assert kconfig.missing(settings, {"CONFIG_NUMA": "y"}) == ()
    assert kconfig.missing(settings, {"CONFIG_NUMA": "y", "CONFIG_MOVE": "y"}) == ()
    unset = kconfig.missing(settings, {"CONFIG_NUMA": "y", "CONFIG_MOVE": "n"})
    assert [str(missing) for missing in unset] == [
        "CONFIG_MOVE=y requested at a.config:2: is n in .config"
    ]
    assert kconfig.missing(settings, {"CONFIG_MOVE": "y"}), "the other one is asked of all"


@pytest.mark.parametrize("line", ["?", "? # CONFIG_A is not set", "?# a comment", "??CONFIG_A=y"])
def test_a_question_mark_stands_before_a_setting_only(line: str) -> None:
    with pytest.raises(ConfigError, match=r"a\.config:1: .* is not a line of a config fragment"):
        kconfig.parse_fragment("a.config", line)
