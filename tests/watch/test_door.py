"""Whom the page's server answers, and connections that try to outstay."""

import socket
import time

import pytest

from conspo_study.watch import connections
from conspo_study.watch.door import Door


def cookie_of(page, **headers):
    """The cookie that the address with the token sets, and where it sends the browser."""
    status, answer, body = page.request_without(page.link.removeprefix(page.url), headers)
    assert (status, body, answer["Location"]) == (303, b"", "/")
    pair, *attributes = answer["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} == set(attributes)
    assert answer["Cache-Control"] == "no-store" and answer["Referrer-Policy"] == "no-referrer"
    return pair


def exchange(page, text, patience_s=20.0):
    """Everything that the server says to these bytes until it closes."""
    with socket.create_connection(page.server.server_address, timeout=patience_s) as connection:
        connection.sendall(text)
        said = b""
        while chunk := connection.recv(1 << 16):
            said += chunk
    return said


def test_the_token_becomes_a_cookie_that_opens_everything(study, watch):
    page = watch(study)
    cookie = cookie_of(page)
    for path in ("", "main.js", "api/study", "api/trial/t0000/responses"):
        assert page.request_without(path, {"Cookie": cookie})[0] == 200, path
        assert page.request_without(path, {"Cookie": f"a=b; {cookie}; c"})[0] == 200, path
    status, answer, _ = page.request_without(f"?token={page.server.door.token}", {"Cookie": cookie})
    assert (status, answer["Location"]) == (303, "/"), "the token leaves the address bar again"


@pytest.mark.parametrize("path", ["", "main.js", "style.css", "api/study", "api/x", "study.json"])
def test_without_the_token_nothing_is_told_but_what_to_do(study, watch, path):
    page, other = watch(study), watch(study)
    theirs = other.server.door.token
    name = cookie_of(page).partition("=")[0]
    for headers in (
        {},
        {"Cookie": f"{name}="},
        {"Cookie": f"{name}={theirs}"},
        {"Cookie": f"other={page.server.door.token}"},
        {"Cookie": f"{name}=\xff"},
        {"Authorization": f"Bearer {theirs}"},
        {"Authorization": page.server.door.token},
        {"Authorization": "Bearer"},
    ):
        for asked in (path, f"{path}?token=", f"{path}?token={theirs}", f"{path}?token=%FF"):
            status, answer, body = page.request_without(asked, headers)
            assert status == 403 and answer["Set-Cookie"] is None, (asked, headers)
            assert b"open the address that `conspo watch` printed" in body
            assert b"mini" not in body and page.server.door.token.encode() not in body
            assert answer["Content-Security-Policy"].startswith("default-src 'none'")


def test_pages_on_one_machine_do_not_take_each_others_cookies(study, watch):
    pages = [watch(study), watch(study)]
    both = "; ".join(map(cookie_of, pages))
    assert [page.request_without("api/study", {"Cookie": both})[0] for page in pages] == [200, 200]
    assert pages[0].server.door.token != pages[1].server.door.token


def test_a_token_is_long_and_compared_whole():
    door = Door(1)
    assert len(door.token) >= 43
    assert door.is_token(door.token)
    assert not any(map(door.is_token, ("", door.token[:-1], f"{door.token}x", "\udcff", "é")))


def test_another_host_name_gets_nothing_even_with_the_token(study, watch):
    page = watch(study)
    assert page.request(page.link.removeprefix(page.url), {"Host": "evil.example"})[0] == 403


FRAMINGS = (
    *("Content-Length: 36", "Content-Length: 0\r\nContent-Length: 36"),
    *("Content-Length: x", "Transfer-Encoding: chunked"),
)


@pytest.mark.parametrize(
    ("method", "framing"),
    # The body of a POST that says how long it is may be a note.
    [("GET", framing) for framing in FRAMINGS] + [("POST", framing) for framing in FRAMINGS[1:]],
)
def test_a_body_is_not_a_second_request(study, watch, framing, method):
    page = watch(study)
    key = page.key["Authorization"]
    inner = "GET /main.js HTTP/1.1\r\nHost: [::1]\r\n\r\n"
    head = f"Host: localhost\r\nAuthorization: {key}\r\n{framing}\r\n\r\n"
    asked = f"{method} /api/study HTTP/1.1\r\n{head}"
    said = exchange(page, (asked + inner).encode())
    assert said.count(b"HTTP/1.1 ") == 1 and said.startswith(b"HTTP/1.1 400 ")
    assert b"have no body" in said


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.x\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
        (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
        (b"PUT / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
    ],
)
def test_malformed_requests_are_answered_under_the_policy(study, watch, asked, status):
    said = exchange(watch(study), asked)
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nContent-Security-Policy: default-src 'none'" in head
    assert b"\r\nX-Content-Type-Options: nosniff" in head and b"<" not in body


def test_a_request_that_never_comes_whole_ends(study, watch, monkeypatch):
    monkeypatch.setattr(connections, "STRANGER_S", 0.5)
    page, begun = watch(study), time.monotonic()
    with socket.create_connection(page.server.server_address, timeout=20) as connection:
        with pytest.raises(OSError):
            for byte in b"GET / HTTP/1.1\r\nX: " + b"y" * 400:
                connection.send(bytes([byte]))
                time.sleep(0.05)
        assert time.monotonic() - begun < 10, "each byte granted more time"


def test_there_are_only_so_many_connections(study, watch, monkeypatch):
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(connections, "STRANGER_S", 2.0)
    page = watch(study)
    place = page.server.server_address
    waiting = [socket.create_connection(place, timeout=20) for _ in range(3)]
    assert exchange(page, b"") == b"", "the fourth is closed"
    for connection in waiting:
        assert connection.recv(1) == b"", "and the others in time"
        connection.close()
    deadline = time.monotonic() + 20
    while True:
        try:
            assert page.request("api/study")[0] == 200
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
