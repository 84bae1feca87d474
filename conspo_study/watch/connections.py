"""Connections that end: each request has a deadline, and there are only so many at once."""

from __future__ import annotations

import io
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
"""Bytes of a request's body that are read and dropped, so that the refusal is seen."""


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
    """Reads requests without a body, each within its time.

    A body is read as far as `MOST_BODY`, dropped and refused, and the connection closed: it must
    not be taken for the next request.
    """

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
        """Whether there is a request to answer; refuses one with a body."""
        if not super().parse_request():
            return False
        length, *others = self.headers.get_all("Content-Length", ["0"])
        if "Transfer-Encoding" not in self.headers and length.strip() == "0" and not others:
            return True
        if length.strip().isdecimal():
            self.rfile.read(min(int(length[:9]), MOST_BODY))
        self.send_error(HTTPStatus.BAD_REQUEST, "requests to this page have no body")
        return False

    def handle_expect_100(self) -> bool:
        """Ask for no body."""
        return True
