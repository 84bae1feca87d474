"""RAY_ADDRESS names the head of a cluster; what else people put there is told apart at once."""

import socket
import threading

import pytest

from conspo_study.cluster.address import check_ray_address, check_that_a_head_listens
from conspo_study.config.places import named_cluster
from conspo_study.records import StudyError


@pytest.mark.parametrize(
    "address",
    [None, "", "auto", "head:6379", "10.0.0.1:6379", "[::1]:6379", "my-head.example.org:26379"],
)
def test_what_may_be_a_head_passes(monkeypatch, address):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address is not None:
        monkeypatch.setenv("RAY_ADDRESS", address)
    check_ray_address()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:8265", "that is Ray's dashboard; name the head .* 127.0.0.1:6379"),
        ("https://ray.example.org/x", "that is Ray's dashboard; .* ray.example.org:6379"),
        ("HTTP://head", "that is Ray's dashboard; .* head:6379"),
        ("ray://head:10001", "that is Ray's client server; .* head:6379"),
        ("tcp://head:6379", "tcp:// does not reach .* head:6379"),
        ("head", "it has no port; .* head:6379"),
        (":6379", "it has no host; .* HEAD:6379"),
        ("head:", "'nothing' is not a port"),
        ("head:ray", "'ray' is not a port"),
        ("head:0", "'0' is not a port"),
        ("head:65536", "'65536' is not a port"),
        ("two heads:6379", "'two heads' is not a host"),
        ("me@head:6379", "'me@head' is not a host"),
    ],
)
def test_what_is_no_head_is_refused_with_what_to_type(monkeypatch, address, said):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(StudyError, match=f"^RAY_ADDRESS={address}: .*{said}"):
        check_ray_address()


@pytest.fixture
def listener(monkeypatch):
    """Answers once at RAY_ADDRESS with the bytes that it is given."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer(content):
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")

        def serve():
            connection, _ = server.accept()
            connection.recv(100)
            connection.sendall(content)
            connection.close()

        threading.Thread(target=serve, daemon=True).start()

    yield answer
    server.close()


def test_a_dashboard_without_its_scheme_is_known_by_its_answer(listener):
    listener(b"HTTP/1.1 200 OK\r\n\r\n")
    with pytest.raises(StudyError, match="that is a web server; name the head"):
        check_that_a_head_listens()


@pytest.mark.parametrize("content", [b"", b"\0\0\x18\4\0\0\0\0\0"])
def test_what_speaks_no_http_1_may_be_a_head(listener, content):
    listener(content)
    check_that_a_head_listens()


def test_an_address_where_nobody_listens_is_an_error_at_once(monkeypatch):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{reserved.getsockname()[1]}")
        with pytest.raises(ConnectionRefusedError):
            check_that_a_head_listens()


@pytest.mark.parametrize(("address", "cluster"), [(None, None), ("", None), ("local", None)])
def test_a_ray_of_our_own_is_used_without_an_address_and_with_local(address, cluster, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address is not None:
        monkeypatch.setenv("RAY_ADDRESS", address)
    check_ray_address()
    assert named_cluster() is cluster
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert named_cluster() == "head:6379"
