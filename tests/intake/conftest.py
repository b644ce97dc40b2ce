# SPDX-License-Identifier: GPL-2.0-only
"""A real public-inbox server on loopback, with mails as a mailing list has them."""

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

PATIENCE = 60.0
CHANGE_ID = "20260301-unmap-batch-5f2d8c1e9a3b"
LIST = "linux-mm@example.org"


def diff(old: str, new: str, file: str = "mm/x.c") -> str:
    return (
        f"diff --git a/{file} b/{file}\n--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-{old}\n+{new}\n"
    )


def mail(
    identifier: str,
    subject: str,
    body: str,
    *,
    header: str = "",
    parent: str = "",
    author: str = "Zoë Müller <zoe@example.org>",
    date: str = "Mon, 2 Mar 2026 10:00:00 +0000",
) -> bytes:
    thread = f"In-Reply-To: <{parent}>\nReferences: <{parent}>\n" if parent else ""
    kind = "" if "Content-Type" in header else "Content-Type: text/plain; charset=UTF-8\n"
    coding = "" if "Content-Transfer" in header else "Content-Transfer-Encoding: 8bit\n"
    return (
        f"From: {author}\nTo: {LIST}\nCc: Ann <ann@example.org>, bob@example.org\n"
        f"Date: {date}\nMessage-Id: <{identifier}>\nSubject: {subject}\n{thread}"
        f"List-Id: <mm.example.org>\nMIME-Version: 1.0\n{kind}{coding}{header}\n{body}"
    ).encode()


def revision(
    number: int, *, stem: str, title: str, end: str = "", day: int = 0, words: str = ""
) -> list[bytes]:
    """A cover letter and two patches."""
    v = f" v{number}" if number > 1 else ""
    top = f"{stem}-v{number}-0@example.org"
    date = f"Mon, {day or number} Mar 2026 10:00:00 +0000"
    cover = f"Why.\n\n{words}\nZoë Müller (2):\n  mm: one\n  mm: two\n\n---\n{end}\n"
    mails = [mail(top, f"[PATCH{v} 0/2] {title}", cover, date=date)]
    for patch, word in ((1, "one"), (2, "two")):
        text = f"Patch {word} of v{number}.\n\nSigned-off-by: Zoë Müller <zoe@example.org>\n---\n\n"
        text += diff(f"old {patch}", f"new {patch} v{number}")
        name = f"{stem}-v{number}-{patch}@example.org"
        mails.append(mail(name, f"[PATCH{v} {patch}/2] mm: {word}", text, parent=top, date=date))
    return mails


def everything() -> list[bytes]:
    """By change-id alone: v1, v2. By links alone, renamed on the way: v1, v2, v3."""
    base = "base-commit: adc218676eef25575469234709c2d87185ca223a"
    tied = f"{base}\nchange-id: {CHANGE_ID}\n"
    by_id = [
        *revision(1, stem="unmap", title="mm: batch it", end=tied),
        *revision(2, stem="unmap", title="mm: batch it well", end=tied),
    ]
    by_id.append(
        mail(
            "review-1@example.org",
            "Re: [PATCH v2 1/2] mm: one",
            "> Patch one of v2.\n\nReviewed-by: Ann <ann@example.org>\n",
            parent="unmap-v2-1@example.org",
            author="Ann <ann@example.org>",
        )
    )
    link = "- Link to v{}: https://lore.kernel.org/r/linked-v{}-0@example.org\n"
    linked = [
        *revision(1, stem="linked", title="mm: first name"),
        *revision(2, stem="linked", title="mm: second name", words=link.format(1, 1)),
        *revision(3, stem="linked", title="mm: third name", words=link.format(2, 2)),
    ]
    talk = [mail("talk@example.org", "What about reclaim?", "Nothing to apply here.\n")]
    return [*by_id, *linked, *talk]


@dataclass(frozen=True)
class Server:
    url: str
    port: int


def run(*argv: str | Path, env: dict[str, str], stdin: bytes = b"") -> None:
    result = subprocess.run(
        argv, env=env, input=stdin, capture_output=True, timeout=120, check=False
    )
    assert result.returncode == 0, (argv, result.stderr.decode())


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """public-inbox-httpd as Debian has it, filled by its own public-inbox-mda."""
    if not shutil.which("public-inbox-httpd"):
        pytest.skip("public-inbox is not installed: `rig doctor --fix` installs it")
    top = tmp_path_factory.mktemp("server")
    config = top / "config"
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(top),
        "PI_CONFIG": str(config),
        "PI_EMERGENCY": str(top / "emergency"),
        "ORIGINAL_RECIPIENT": LIST,
    }
    url = "http://127.0.0.1/mm"
    run("public-inbox-init", "-V2", "mm", top / "inbox", url, LIST, env=env)
    run("git", "config", "-f", config, "publicinboxmda.spamcheck", "none", env=env)
    for one in everything():
        run("public-inbox-mda", "--no-precheck", env=env, stdin=one)
    log = top / "httpd.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["public-inbox-httpd", "-W0", "-l", "http://127.0.0.1:0"],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        port = bound(process, log)
        yield Server(url=f"http://127.0.0.1:{port}/mm", port=port)
    finally:
        process.kill()
        process.wait()


def bound(process: "subprocess.Popen[bytes]", log: Path) -> int:
    end = time.monotonic() + PATIENCE
    while not (found := re.search(r"bound http://127\.0\.0\.1:(\d+)", log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)
    return int(found[1])


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A user whose b4 knows this server, and no other; it waits for as long as a busy host needs,
    but where an answer must not come."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(home / name))
    monkeypatch.setenv("HOME", str(home))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        # Whoever asks for another server than this one finds nobody there.
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    def knows(url: str, patience: float = PATIENCE) -> None:
        (home / ".gitconfig").write_text(
            f"[b4]\n\tmidmask = {url}/%s\n\tlinkmask = {url}/%s\n"
            f"[user]\n\tname = T\n\temail = t@{LIST}\n"
            f'[liblore "{url.rpartition("/")[0]}"]\n\trequesttimeout = {patience}\n'
        )

    return knows


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "patches"


# A server in front of the server, which fails in a way of its own


class Faulty(threading.Thread):
    """Passes requests on, and of the answers what `fault` makes of them."""

    def __init__(self, port: int, fault: str) -> None:
        super().__init__(daemon=True)
        self.behind, self.fault = port, fault
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}/mm"
        self.asked = 0
        self.ended = threading.Event()

    def run(self) -> None:
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            self.asked += 1
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        with closing(client), suppress(OSError):
            request = client.recv(65536)
            if self.fault == "error":
                client.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
                return
            if self.fault == "search" and b"x=m" in request.split(b"\r\n", 1)[0]:
                client.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
                return
            if self.fault == "slow":
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not self.ended.wait(0.1):
                    client.sendall(b"x")
                return
            if self.fault == "silent":
                self.ended.wait(PATIENCE)
                return
            answer = self.ask(request)
            head, _, body = answer.partition(b"\r\n\r\n")
            cut = len(body) * 2 // 3 if self.fault == "stops" else len(body)
            client.sendall(head + b"\r\n\r\n" + body[:cut])

    def ask(self, request: bytes) -> bytes:
        request = re.sub(rb"(?im)^connection:.*\r\n", b"", request)
        request = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
        with socket.create_connection(("127.0.0.1", self.behind)) as behind:
            behind.sendall(request)
            answer = b""
            while more := behind.recv(65536):
                answer += more
        return answer


@pytest.fixture
def faulty(server: Server) -> Iterator[Callable[[str], Faulty]]:
    started: list[Faulty] = []

    def start(fault: str) -> Faulty:
        one = Faulty(server.port, fault)
        one.start()
        started.append(one)
        return one

    yield start
    for one in started:
        one.ended.set()
        one.listening.close()
