"""Checks of RAY_ADDRESS, which names the head of a cluster as HOST:PORT."""

from __future__ import annotations

import re
import socket
from contextlib import suppress

from conspo_study.config.places import named_cluster
from conspo_study.records import StudyError

CONNECT_S = 10.0
"""Longest wait, in seconds, for the head of a cluster to accept a connection."""
DASHBOARD, CLIENT = "that is Ray's dashboard", "that is Ray's client server"
_ANSWER_S = 2.0


def check_ray_address() -> None:
    """Raise StudyError if RAY_ADDRESS is set and does not have the form HOST:PORT."""
    address = named_cluster()
    if address is None or address == "auto":
        return
    scheme, separator, rest = address.rpartition("://")
    host = re.split(r"[:/]", rest, maxsplit=1)[0] or "HEAD"
    if separator:
        kinds = {"http": DASHBOARD, "https": DASHBOARD, "ray": CLIENT}
        what = kinds.get(scheme.lower(), f"{scheme}:// does not reach a cluster")
        raise _refused(address, what, host)
    host, colon, port = address.rpartition(":")
    if not colon:
        raise _refused(address, "it has no port", address)
    if not host:
        raise _refused(address, "it has no host", "HEAD")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise _refused(address, f"{port or 'nothing'!r} is not a port", host)
    if any(letter.isspace() or letter in "/@" for letter in host):
        raise _refused(address, f"{host!r} is not a host", "HEAD")


def check_that_a_head_listens() -> None:
    """Raise at once where Ray would retry for minutes: OSError if nothing listens at RAY_ADDRESS,
    StudyError if a web server does."""
    address = named_cluster() or ""
    host, _, port = address.rpartition(":")
    if not host:
        return
    with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S) as connection:
        connection.settimeout(_ANSWER_S)
        answer = b""
        with suppress(OSError):
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = connection.recv(5)
    if answer == b"HTTP/":
        raise _refused(address, DASHBOARD if port == "8265" else "that is a web server", host)


def _refused(address: str, what: str, host: str) -> StudyError:
    return StudyError(
        f"RAY_ADDRESS={address}: {what}; name the head of the cluster, {host}:6379 unless "
        "`ray start` was given another port, or unset RAY_ADDRESS to run on this machine"
    )
