# SPDX-License-Identifier: GPL-2.0-only
"""Reads HTML pages strictly: what a browser would repair or run is a complaint."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TAGS = _words(
    "html head meta title link style body a header main nav section h1 h2 h3 p span small b i mark"
    " pre details summary div ul li dl dt dd table thead tbody tr th td svg g rect path line circle"
    " text polyline br"
)
VOID = frozenset(("meta", "link", "br"))
ATTRIBUTES = _words(
    "lang charset name content http-equiv rel href class id tabindex aria-label aria-labelledby"
    " aria-hidden role open scope download colspan"
    " viewbox width height x y x1 x2 y1 y2 cx cy r d points text-anchor title"
)
URL = re.compile(
    r"#[\w-]+|data:,|data:application/gzip;base64,[A-Za-z0-9+/=]+|(?:\.\./)?[\w@./%+~-]+(?:#[\w-]+)?"
)


class Page(HTMLParser):
    """`complaints` of a page; its `text`, without the style; `links` and `ids`; text by tag."""

    def __init__(self, data: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.complaints: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.inside: list[str] = []
        self.said: list[tuple[tuple[str, ...], str]] = []
        """Text, and the tags around it."""
        self.feed(data.decode())
        self.close()
        if self.inside:
            self.complaints.append(f"not closed: {self.inside}")
        twice = {name for name in self.ids if self.ids.count(name) > 1}
        self.complaints += [f"id {name} is there twice" for name in sorted(twice)]
        self.complaints += [
            f"{link} leads nowhere"
            for link in self.links
            if link.startswith("#") and link[1:] not in self.ids
        ]

    @property
    def text(self) -> str:
        return "".join(said for tags, said in self.said if "style" not in tags)

    def texts(self, tag: str) -> list[str]:
        """The text of each run of text inside this tag."""
        return [said for tags, said in self.said if tag in tags]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.complaints.append(f"<{tag}>")
        for name, value in attrs:
            if name not in ATTRIBUTES:
                self.complaints.append(f"<{tag} {name}={value!r}>")
            if name == "href":
                self.links.append(value or "")
                if not URL.fullmatch(value or ""):
                    self.complaints.append(f"href={value!r}")
            if name == "id":
                self.ids.append(value or "")
        if tag not in VOID:
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.inside or self.inside.pop() != tag:
            self.complaints.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        self.said.append((tuple(self.inside), data))

    def handle_comment(self, data: str) -> None:
        self.complaints.append(f"<!--{data}-->")


# Contrast, as WCAG 2 computes it


def schemes(css: str) -> Iterator[dict[str, str]]:
    """The colours of the light style, and those of the dark one."""
    light, dark = css.split("@media (prefers-color-scheme: dark)")
    for part in (light, dark.split("\n}")[0]):
        yield dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part))


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted(map(_luminance, (one, other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
