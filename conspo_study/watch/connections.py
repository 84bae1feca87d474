"""Connections that end: each request has a deadline, and there are only so many at once."""

from __future__ import annotations

import io
import re
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MOST_CONNECTIONS = 64
"""Connections at once; browsers open six per page. Further ones are closed unanswered."""
STRANGER_S = 10.0
"""Seconds in which a connection must have made its first request whole."""
IDLE_S = 60.0
"""Seconds in which each later request must have come whole, and each answer must be taken."""
MOST_BODY = 1 << 16
"""Bytes of a request's body that are read; of one that is refused, so that the refusal is seen."""

REFUSED_BODY = "requests to this page have no body, and notes a short one"


class BoundedServer(ThreadingHTTPServer):
    """A threading server with at most MOST_CONNECTIONS threads."""

    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread, or close it when there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class _Timed(socket.SocketIO):
    """Reads from a socket until a moment, however slowly the bytes come."""

    due = 0.0

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection, "r")
        self._connection = connection

    def readinto(self, buffer: Any) -> int | None:
        remaining = self.due - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._connection.settimeout(remaining)
        try:
            return super().readinto(buffer)
        finally:
            self._connection.settimeout(IDLE_S)


class BoundedHandler(BaseHTTPRequestHandler):
    """Reads requests, each within its time.

    Only a POST may have a body, of `MOST_BODY` bytes at most. Another is read that far, dropped and
    refused, and the connection closed: it must not be taken for the next request.
    """

    body = b""
    """Of the request that is being answered."""

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._timed = _Timed(self.connection)
        self.rfile = io.BufferedReader(self._timed)
        self._wait_s = STRANGER_S

    def handle_one_request(self) -> None:
        """Read and answer a request, or close the connection."""
        self._timed.due = time.monotonic() + self._wait_s
        super().handle_one_request()

    def stay(self) -> None:
        """Grant this connection the longer time, now that it has shown whose it is."""
        self._wait_s = IDLE_S

    def parse_request(self) -> bool:
        """Whether there is a request to answer; refuses one with a body that is none of ours."""
        self.body = b""
        if not super().parse_request():
            return False
        length, *others = (text.strip() for text in self.headers.get_all("Content-Length", ["0"]))
        plain = "Transfer-Encoding" not in self.headers and not others
        if plain and length == "0":
            return True
        if re.fullmatch(r"[0-9]{1,9}", length):
            self.body = self.rfile.read(min(int(length), MOST_BODY))
            if plain and self.command == "POST" and len(self.body) == int(length):
                return True
        self.send_error(HTTPStatus.BAD_REQUEST, REFUSED_BODY)
        return False

    def handle_expect_100(self) -> bool:
        """Ask for no body."""
        return True
