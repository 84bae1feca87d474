"""The page's server: static files, and questions with JSON answers.

Another site must not read a study through the visitor's browser: only requests whose Host header
names this machine are answered (against DNS rebinding), no other origin may read an answer, and the
page loads nothing from elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from conspo_study.files import finite
from conspo_study.text import one_line
from conspo_study.watch.study_view import StudyView

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
IDLE_S = 60
"""Seconds after which an idle connection is closed."""
MOST_POINTS = 2000
NICENESS = 10
"""Added to the process's niceness: training on the same machine goes first."""
WRONG_HOST = "use this server's address, localhost, or the name given with --host"

Question = Mapping[str, str]


class PageServer(ThreadingHTTPServer):
    """Serves the page of one study."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, view: StudyView, host: str, port: int):
        self.view, self.host = view, host
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        """The page's address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server_address[1]}/"

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
    """A server of the study in `folder`, bound to its port and not serving yet; port 0 is any free
    one.

    Raises OSError when the port is not available.
    """
    return PageServer(StudyView(folder), host, port)


def serve(
    folder: Path,
    host: str = "127.0.0.1",
    port: int = PORT,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the page of the study in `folder` until Ctrl-C, at a lowered priority.

    say: prints a line. Raises OSError when the port is not available.
    """
    with suppress(KeyboardInterrupt), make_server(folder, host, port) as server:
        say(f"watch {folder} at {server.url}  (Ctrl-C stops the page, not the study)")
        if not _is_loopback(host):
            say("anyone who can reach this port can read the study: there is no password")
        os.nice(NICENESS)
        server.serve_forever(poll_interval=0.2)


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "conspo-study", ""
    timeout = IDLE_S
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer a question or send a file."""
        if not self.server.names_this_machine(self.headers.get("Host", "")):
            self._send(HTTPStatus.FORBIDDEN, {"error": WRONG_HOST})
            return
        try:
            url = urlsplit(self.path)
            parts = [unquote(part) for part in url.path.strip("/").split("/")]
            question = dict(parse_qsl(url.query, max_num_fields=20))
            if parts[0] == "api":
                self._send(HTTPStatus.OK, self._answer(parts[1:], question))
            else:
                self._send_file("/".join(parts) or "index.html")
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

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the terminal is the user's."""

    def _answer(self, parts: list[str], question: Question) -> dict[str, Any]:
        """Raises KeyError for an unknown question, ValueError for a malformed one."""
        view = self.server.view
        epoch, since = _whole(question, "epoch", 0), _whole(question, "since", 0)
        points = min(_whole(question, "points", 200), MOST_POINTS)
        match parts:
            case ["study"]:
                return view.study(epoch, since)
            case ["curves"]:
                return view.curves(question.get("metric", ""), points, epoch, since)
            case ["trial", trial]:
                return view.trial(trial)
            case ["trial", trial, "curves"]:
                return view.trial_curves(trial, points, _whole(question, "version", -1))
            case ["trial", trial, "responses"]:
                return view.responses(trial, question)
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
        self._reply(status, text.encode(), kind, {"Cache-Control": "no-store"})

    def _reply(self, status: HTTPStatus, body: bytes, kind: str, more: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **more, "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
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
