"""The page's server: static files, and questions with JSON answers.

Neither another user of the machine nor another site, through the visitor's browser, may read a
study: only requests with the page's token are answered, and only if their Host header names this
machine (against DNS rebinding); no other origin may read an answer, and the page loads nothing from
elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from socketserver import TCPServer
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from conspo_study.files import finite
from conspo_study.text import one_line
from conspo_study.untrusted import parse_json
from conspo_study.watch.connections import BoundedHandler, BoundedServer
from conspo_study.watch.door import REFUSED, TRY_AGAIN, Door
from conspo_study.watch.studies import Studies

PORT = 8777
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
NOT_STORED = {"Cache-Control": "no-store"}
MOST_POINTS = 2000
NICENESS = 10
"""Added to the process's niceness: training on the same machine goes first."""
WRONG_HOST = "use this server's address, localhost, or the name given with --host"

Question = Mapping[str, str]


class PageServer(BoundedServer):
    """Serves the page of one study or of several to whoever has its token."""

    allow_reuse_address = True

    def __init__(self, studies: Studies, host: str, port: int):
        self.studies, self.host = studies, host
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)
        self.door = Door(self.server_address[1])

    @property
    def url(self) -> str:
        """The page's address, without the token."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server_address[1]}/"

    @property
    def link(self) -> str:
        """The address to open in a browser, with the token: a secret."""
        return f"{self.url}?token={self.door.token}"

    def server_bind(self) -> None:
        """Bind without a name lookup of this machine, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.host, self.server_address[1]

    def names_this_machine(self, host: str) -> bool:
        """Whether a Host header names this machine: an IP address, which no name server can forge,
        localhost, this machine's name, or the name that the server was started with."""
        name = re.sub(r":\d+$", "", host).strip("[]").lower()
        if name in ("localhost", self.host.lower(), socket.gethostname().lower()):
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore browsers that went away."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def make_server(folder: Path, host: str = "127.0.0.1", port: int = 0) -> PageServer:
    """A server of the study in `folder`, or of all studies below it, bound to its port and not
    serving yet; port 0 is any free one.

    Raises OSError when the port is not available.
    """
    return PageServer(Studies(folder), host, port)


def serve(
    folder: Path,
    host: str = "127.0.0.1",
    port: int = PORT,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the page of the study in `folder`, or of all studies below it, until Ctrl-C, at a
    lowered priority.

    say: prints a line. Raises OSError when the port is not available.
    """
    with suppress(KeyboardInterrupt), make_server(folder, host, port) as server:
        say(f"watch {folder} at {server.link}  (Ctrl-C stops the page, not the study)")
        if not _is_loopback(host):
            say("whoever has this address can read the study; the network carries it in plain text")
        os.nice(NICENESS)
        server.serve_forever(poll_interval=0.2)


class _WrongHost(Exception):
    """The request names another machine."""


class _Handler(BoundedHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "conspo-study", ""
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer a question or send a file."""
        with self._told():
            parts, question = self._asked()
            if not self._may_read():
                self._welcome(question.get("token", ""), page=parts == [""])
            elif "token" in question:
                self._move_on()
            elif parts[0] == "api":
                self._send(HTTPStatus.OK, self._answer(parts[1:], question))
            else:
                self._send_file("/".join(parts) or "index.html")

    def do_POST(self) -> None:
        """Take a note."""
        with self._told():
            parts, question = self._asked()
            if not self._may_read():
                self._welcome("", page=False)
            elif why := self._why_not_ours():
                self._send(HTTPStatus.FORBIDDEN, {"error": why})
            elif parts == ["api", "notes"]:
                view = self.server.studies.view(question.get("of", ""))
                self._send(HTTPStatus.OK, view.add_note(parse_json(self.body)))
            else:
                raise KeyError

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Answer what goes wrong in the block."""
        try:
            yield
        except _WrongHost:
            self._send(HTTPStatus.FORBIDDEN, {"error": WRONG_HOST})
        except KeyError:
            self._send(HTTPStatus.NOT_FOUND, {"error": f"not found: {self.path[:200]}"})
        except ValueError as error:
            self._send(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except OSError as error:
            what = f"{error.filename}: {error.strerror}"
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": what})
        except Exception as error:  # whatever a strange file leads to
            what = f"{type(error).__name__}: {one_line(error)}"
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": what})

    def _asked(self) -> tuple[list[str], dict[str, str]]:
        """Path and query of the request, if it names this machine."""
        if not self.server.names_this_machine(self.headers.get("Host", "")):
            raise _WrongHost
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        return parts, dict(parse_qsl(url.query, max_num_fields=20))

    def _why_not_ours(self) -> str:
        """Why a page of another site may have sent this; empty when only our own could. Browsers
        name the origin with every POST, and send JSON to other sites only when those allow it."""
        origin = self.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != self.headers.get("Host"):
            return "this request comes from another page"
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return "" if kind == "application/json" else "send notes as application/json"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the terminal is the user's."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a malformed request, under the same policy as everything, and close."""
        status = HTTPStatus(code)
        self.close_connection = True
        self.request_version = self.protocol_version  # a malformed first line has none
        self._send(status, {"error": message or explain or status.phrase})

    def _may_read(self) -> bool:
        cookies = self.headers.get_all("Cookie", [])
        allowed = self.server.door.lets_in(cookies, self.headers.get("Authorization", ""))
        if allowed:
            self.stay()
        return allowed

    def _welcome(self, token: str, page: bool) -> None:
        """Let a browser with the token in, and refuse everything else; page: in a browser."""
        if self.server.door.is_token(token):
            self._move_on({"Set-Cookie": self.server.door.cookie})
            return
        self.close_connection = True
        if page:
            # A browser withholds the cookie until a link of this page itself is followed.
            text = f'<!doctype html><p>{REFUSED}<p>{TRY_AGAIN} <a href="/">continue</a>.'
            self._reply(HTTPStatus.FORBIDDEN, text.encode(), TYPES[".html"], NOT_STORED)
        else:
            self._send(HTTPStatus.FORBIDDEN, {"error": REFUSED})

    def _move_on(self, more: Mapping[str, str] = MappingProxyType({})) -> None:
        """Send a browser to the address without the token."""
        headers = {"Location": "/", **NOT_STORED, **more}
        self._reply(HTTPStatus.SEE_OTHER, b"", TYPES[".html"], headers)

    def _answer(self, parts: list[str], question: dict[str, str]) -> dict[str, Any]:
        """Raises KeyError for an unknown question, ValueError for a malformed one."""
        if parts == ["studies"]:
            return self.server.studies.listed()
        view = self.server.studies.view(question.pop("of", ""))
        epoch, since = _whole(question, "epoch", 0), _whole(question, "since", 0)
        points = min(_whole(question, "points", 200), MOST_POINTS)
        evenly = question.get("evenly", "") == "1"
        match parts:
            case ["study"]:
                return view.study(epoch, since)
            case ["curves"]:
                return view.curves(question.get("metric", ""), points, epoch, since, evenly)
            case ["compare"]:
                return view.compare(question)
            case ["importance"]:
                return view.importance()
            case ["notes"]:
                return view.notes()
            case ["trial", trial]:
                return view.trial(trial)
            case ["trial", trial, "curves"]:
                return view.trial_curves(trial, points, _whole(question, "version", -1), evenly)
            case ["trial", trial, "responses"]:
                return view.responses(trial, question)
            case ["samples"]:
                return view.samples(question)
        raise KeyError

    def _send_file(self, name: str) -> None:
        content, tag, kind = _page()[name]
        if self.headers.get("If-None-Match") == tag:
            self._reply(HTTPStatus.NOT_MODIFIED, b"", kind, {"ETag": tag})
        else:
            self._reply(HTTPStatus.OK, content, kind, {"ETag": tag, "Cache-Control": "no-cache"})

    def _send(self, status: HTTPStatus, answer: Mapping[str, Any]) -> None:
        try:
            text = json.dumps(answer, allow_nan=False, separators=(",", ":"))
        except ValueError:
            text = json.dumps(finite(answer), allow_nan=False, separators=(",", ":"))
        kind = "application/json; charset=utf-8"
        self._reply(status, text.encode(), kind, NOT_STORED)

    def _reply(self, status: HTTPStatus, body: bytes, kind: str, more: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **more, "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


@cache
def _page() -> dict[str, tuple[bytes, str, str]]:
    """The files of the page, by name: content, ETag and type."""
    page = files("conspo_study.watch").joinpath("page")
    named = [("", page), ("vendor/", page.joinpath("vendor"))]
    content = {
        prefix + file.name: file.read_bytes()
        for prefix, folder in named
        for file in folder.iterdir()
        if Path(file.name).suffix in TYPES
    }
    return {
        name: (data, f'"{sha256(data).hexdigest()[:16]}"', TYPES[Path(name).suffix])
        for name, data in content.items()
    }


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _whole(question: Question, name: str, default: int) -> int:
    text = question.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise ValueError(f"{name} {text[:40]!r} is not a whole number")
    return int(text)
