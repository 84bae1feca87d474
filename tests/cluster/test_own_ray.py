"""A Ray of our own is its user's alone, and the environment is as before afterwards."""

import os
import stat
import tempfile
from importlib import import_module

import pytest

from conspo_study.cluster import own_ray
from conspo_study.cluster.launch import launch
from conspo_study.cluster.own_ray import (
    ALLOW,
    PRIVATE_NAMES,
    asks_for_a_token,
    kept_private,
    secrets_stay,
)
from conspo_study.processes.ray_internals import missing
from conspo_study.records import StudyError
from conspo_study.terminal.console import Console


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", ALLOW):
        monkeypatch.delenv(name, raising=False)


def test_ray_has_the_private_names():
    assert missing(PRIVATE_NAMES) == []


@pytest.mark.parametrize("mode", [None, "", "token", "TOKEN"])
def test_authentication_is_on_unless_it_is_turned_off(monkeypatch, mode):
    if mode is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    assert asks_for_a_token()


@pytest.mark.parametrize("mode", ["disabled", "Disabled", "off", "k8s"])
@pytest.mark.parametrize("value", [None, "", "0", "yes"])
def test_authentication_that_is_off_stops_a_study_before_ray_starts(
    monkeypatch, tmp_path, mode, value
):
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    if value is not None:
        monkeypatch.setenv(ALLOW, value)
    monkeypatch.setattr("conspo_study.cluster.launch.ray_cluster", lambda: pytest.fail("started"))
    with pytest.raises(StudyError, match=f"every user .* run code as you: unset .*{ALLOW}=1"):
        launch(None, tmp_path, None, None, Console(quiet=True))


def test_authentication_is_off_where_the_user_says_so_and_never_asked_about_on_a_cluster(
    monkeypatch,
):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv(ALLOW, "1")
    assert not asks_for_a_token()
    monkeypatch.delenv(ALLOW)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert asks_for_a_token()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_every_study_has_a_token_of_its_own_that_its_user_alone_can_read(
    monkeypatch, tmp_path, umask
):
    from ray._raylet import AuthenticationTokenLoader

    monkeypatch.setenv("RAY_AUTH_TOKEN", "the token of a shared cluster")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    drawn = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        before = os.umask(umask)
        try:
            with kept_private(tmp_path / name) as token:
                drawn.append(token.read_text())
                assert stat.S_IMODE(token.stat().st_mode) == 0o600
                assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(token)
                assert "RAY_AUTH_TOKEN" not in os.environ
                raw = AuthenticationTokenLoader.instance().get_raw_token(ignore_auth_mode=True)
                assert raw == drawn[-1], "Ray reads this study's token"
        finally:
            os.umask(before)
        assert os.environ["RAY_AUTH_TOKEN"] == "the token of a shared cluster"
        assert os.environ["RAY_AUTH_MODE"] == "token" and "RAY_AUTH_TOKEN_PATH" not in os.environ
    assert len(set(drawn)) == 2 and all(len(token) == 64 for token in drawn)


def test_files_addresses_and_interfaces_are_private_inside_the_block_only(monkeypatch, tmp_path):
    services = import_module("ray._private.services")
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "ib0")
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    before, place = dict(os.environ), tempfile.gettempdir()
    with kept_private(tmp_path):
        assert services.resolve_ip_for_localhost("127.0.0.1") == "127.0.0.1"
        assert services.get_node_ip_address() == "127.0.0.1"
        assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(tmp_path / "tmp")
        assert os.environ["RAY_TMPDIR"] == str(tmp_path)
        assert os.environ["GLOO_SOCKET_IFNAME"] == "lo"
        assert os.environ["NCCL_SOCKET_IFNAME"] == "ib0", "what the user has set stays"
    assert dict(os.environ) == before and tempfile.gettempdir() == place


def test_ray_asks_for_a_token_inside_the_block_only(monkeypatch, tmp_path):
    from ray._private.authentication.authentication_token_setup import enable_token_auth_by_default
    from ray._private.authentication.authentication_utils import is_token_auth_enabled

    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    assert not is_token_auth_enabled()
    with kept_private(tmp_path):
        enable_token_auth_by_default()  # as a start of Ray does
        assert is_token_auth_enabled()
    assert "RAY_AUTH_MODE" not in os.environ and not is_token_auth_enabled()


def test_without_authentication_there_is_no_token(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv(ALLOW, "1")
    with kept_private(tmp_path) as token:
        assert token is None and os.environ["RAY_AUTH_MODE"] == "disabled"
    assert not (tmp_path / own_ray.TOKEN).exists()


def test_tune_copies_settings_of_ray_and_no_credentials():
    cache = import_module("ray.tune.execution.class_cache")
    before = cache.ENV_VARS_TO_PROPAGATE
    assert any(name.startswith("AWS_") for name in before), "Ray no longer copies any"
    with secrets_stay():
        copied = cache.ENV_VARS_TO_PROPAGATE
        assert "RAY_TRAIN_V2_ENABLED" in copied and before - copied
        assert {n for n in copied if not n.startswith(("RAY_", "TUNE_", "TRAIN_"))} <= {
            "TORCHFT_LIGHTHOUSE",
            "NCCL_RAS_ADDR",
        }
    assert cache.ENV_VARS_TO_PROPAGATE is before
