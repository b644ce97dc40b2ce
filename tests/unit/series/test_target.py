# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

import pytest

from rig.errors import ConfigError
from rig.series.target import Target, message, parse


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("v6.12", Target(base="v6.12")),
        ("v6.12.117", Target(base="v6.12.117")),
        ("v7.3-rc7", Target(base="v7.3-rc7")),
        ("batch-dirty-tlb-flush", Target(series="batch-dirty-tlb-flush")),
        ("s@v2", Target(series="s", revision=2)),
        ("s@v12:3", Target(series="s", revision=12, upto=3)),
        ("s:3", Target(series="s", upto=3)),
        ("s:0", Target(series="s", upto=0)),
        ("v6", Target(series="v6")),
        ("v6.12-fixes", Target(series="v6.12-fixes")),
        ("mm_2.0.x@v1", Target(series="mm_2.0.x", revision=1)),
        ("./series.mbx", Target(file=Path("./series.mbx"))),
        ("./series.mbx:3", Target(file=Path("./series.mbx"), upto=3)),
        ("series.mbx", Target(file=Path("series.mbx"))),
        ("series.mbx:3", Target(file=Path("series.mbx"), upto=3)),
        ("v2.mbx", Target(file=Path("v2.mbx"))),
        ("0001-mm-x.patch", Target(file=Path("0001-mm-x.patch"))),
        ("../a b/t.mbox:12", Target(file=Path("../a b/t.mbox"), upto=12)),
        ("/tmp/mails", Target(file=Path("/tmp/mails"))),
        ("/tmp/mails:2", Target(file=Path("/tmp/mails"), upto=2)),
    ],
)
def test_targets(text: str, target: Target) -> None:
    assert parse(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "s@2",
        "s@v",
        "s@v2:",
        "s:x",
        "s@v2:-1",
        "@v2",
        "-s",
        "s v2",
        "v6.12\n",
        "s\n",
        "HEAD~3",
        "s@v1..v2",
        "mine@{upstream}",
    ],
)
def test_no_targets(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a target") as bad:
        parse(text)
    assert repr(text) in bad.value.message
    assert "SERIES@v2:3" in bad.value.hint


@pytest.mark.parametrize("text", ["v6.12:3", "v6.12@v2", "v7.3-rc7@v2:1"])
def test_a_base_has_neither_revisions_nor_patches(text: str) -> None:
    with pytest.raises(ConfigError, match="is a base: it has no revisions and no patches"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("20260302-unmap-v2-0@example.org", "20260302-unmap-v2-0@example.org"),
        ("<cover.17.git.a@b>", "cover.17.git.a@b"),
        ("x@localhost", "x@localhost"),
        ("X/1abc@kroah.com", "X/1abc@kroah.com"),
        ("<X/1abc@kroah.com>", "X/1abc@kroah.com"),
        ("<a@b/c@d>", ""),
        (f"{'x' * 999}@example.org", f"{'x' * 999}@example.org"),
        ("https://lore.kernel.org/linux-mm/a-b@c.d/", "a-b@c.d"),
        ("https://lore.kernel.org/r/a%2Fb@c.d", "a/b@c.d"),
        ("https://lore.kernel.org/all/a-b@c.d/T/#u", "a-b@c.d"),
        ("https://lore.kernel.org/all/a-b@c.d#r", "a-b@c.d"),
        ("https://lore.kernel.org/all/a-b@c.d?x=1", "a-b@c.d"),
        ("https://lore.kernel.org/all/a-b@c.d/?x=1#r", "a-b@c.d"),
        ("https://patchwork.kernel.org/project/linux-mm/patch/a-b@c.d/", "a-b@c.d"),
        ("http://127.0.0.1:8080/mm/a@b.c/", "a@b.c"),
        ("s@v2", ""),
        ("s@v2:3", ""),
        ("s@2", ""),
        ("s@v1,v2", ""),
        ("s@v1,v2,v3", ""),
        ("s@v1..v2", ""),
        ("mine@{upstream}", ""),
        ("mine@{2.days.ago}", ""),
        ("v6.12", ""),
        ("me@home.mbx", ""),
        ("/tmp/me@home.org/x", ""),
        ("/tmp/me@home.org", ""),
        ("./a@b.mbx", ""),
        ("./me@home.org", ""),
        ("../me@home.org", ""),
        ("mails/me@home.mbox:2", ""),
        ("https://lore.kernel.org/linux-mm/", ""),
    ],
)
def test_mails(text: str, named: str) -> None:
    assert message(text) == named


@pytest.mark.parametrize("text", ["me@home.org", "mails/me@home.org", "<me@home.org>"])
def test_a_file_that_is_there_is_no_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message(text) == text.strip("<>")
    (tmp_path / "mails").mkdir()
    (tmp_path / text).touch()
    assert message(text) == ""
    assert parse(text) == Target(file=Path(text))


@pytest.mark.parametrize("text", ["a-b@c.d", "https://lore.kernel.org/r/a-b@c.d"])
def test_a_mail_is_not_yet_a_target(text: str) -> None:
    with pytest.raises(ConfigError, match="is a mail") as bad:
        parse(text)
    assert bad.value.hint.endswith(f"rig fetch {text}")
