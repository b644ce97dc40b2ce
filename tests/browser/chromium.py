# SPDX-License-Identifier: GPL-2.0-only
"""Drives Debian's chromium by its DevTools protocol over a pipe. Needs no other library."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"),
)
PATIENCE = 120.0
"""Seconds for an answer, on a busy machine."""
KEYS = {"Tab": 9, "Enter": 13}


@dataclass
class Browser:
    """A tab. `said` has what the pages have written to the console, and every error."""

    reads: int
    writes: BinaryIO
    session: str = ""
    said: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    _rest: bytes = b""
    _number: int = 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command, and wait for its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.writes.write(json.dumps(message).encode() + b"\0")
        self.writes.flush()
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])

    def _message(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self.reads], [], [], max(0, end - time.monotonic()))
            assert ready, "chromium does not answer"
            data = os.read(self.reads, 1 << 16)
            assert data, "chromium has ended"
            self._rest += data
        one, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(one)
        if "method" in message:
            self._event(message)
        return message

    def _event(self, message: dict[str, Any]) -> None:
        self.events.append(message)
        params = message["params"]
        match message["method"]:
            case "Log.entryAdded":
                self.said.append(f"{params['entry']['level']}: {params['entry']['text']}")
            case "Runtime.exceptionThrown":
                self.said.append(f"exception: {params['exceptionDetails']['text']}")
            case "Runtime.consoleAPICalled":
                self.said.append(f"console: {params['args']}")
            case "Page.javascriptDialogOpening":
                self.said.append(f"dialog: {params['message']}")

    def open(self, path: Path, anchor: str = "") -> None:
        """Show a file, and wait until all of it is there."""
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri() + (f"#{anchor}" if anchor else ""))
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._message()

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        facts = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **facts, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    def look(self, *, dark: bool = False, width: int = 1200, height: int = 900) -> None:
        """How the reader's screen is."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip

    def picture(self, path: Path) -> None:
        """A screenshot of the page, of its first 3000 pixels."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 3000)}
        data = self.call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True,
            clip={**clip, "scale": 1},
        )["data"]  # fmt: skip
        path.write_bytes(base64.b64decode(data))


def program() -> str:
    return shutil.which("chromium") or ""


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A chromium of one's own, which has ended when the context does."""
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    # It reads commands from descriptor 3, and writes to 4.
    script = f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}'
    argv = [program(), *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(
        ["bash", "-c", script, *argv],
        pass_fds=(to_read, from_write),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(to_read)
    os.close(from_write)
    with os.fdopen(to_write, "wb") as writes:
        try:
            tab = Browser(reads=from_read, writes=writes)
            (target, *_) = [
                one for one in tab.call("Target.getTargets")["targetInfos"] if one["type"] == "page"
            ]
            attached = tab.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            tab.session = attached["sessionId"]
            for domain in ("Page", "Log", "Runtime"):
                tab.call(f"{domain}.enable")
            yield tab
        finally:
            process.kill()
            process.wait()
            os.close(from_read)
