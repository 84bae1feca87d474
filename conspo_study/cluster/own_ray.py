"""Keeps a Ray of our own to its user, on a machine that others use, too.

Whoever reaches Ray's ports with its token runs code as its user. By default Ray stores one token
for all times in the home directory, readable by everyone, listens on all network interfaces, and
opens its folders to everyone. A Ray of our own has a token for one study in a folder that its user
alone can enter, and listens on the loopback interface.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from conspo_study.config.places import named_cluster
from conspo_study.processes.ray_internals import missing
from conspo_study.records import StudyError

ALLOW = "CONSPO_STUDY_ALLOW_NO_AUTH"
"""Environment variable: 1 lets a study run on a Ray of its own that asks for no token."""
TOKEN = "ray-token"
"""The file with the token, in the study's temporary folder."""
OPEN = (
    "Ray asks for no token (RAY_AUTH_MODE={mode}): until the study ends, EVERY USER OF THIS "
    "MACHINE CAN RUN CODE AS YOU and read what you can read"
)
_ADDRESS_SWITCH = "ray._private.ray_constants:ENABLE_RAY_CLUSTER"
_TOKEN_CACHE = "ray._raylet:AuthenticationTokenLoader.reset_cache"
_SETTINGS = "ray._raylet:Config.initialize"
PRIVATE_NAMES = (_ADDRESS_SWITCH, _TOKEN_CACHE, _SETTINGS)
"""Names of Ray that this module relies on, for `ray_internals.missing`."""
_LOOPBACK = {
    # Ray takes the loopback address for that of its node, as it does by default where it runs on
    # a single machine only.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
_COLLECTIVES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
"""Variables for the network interface on which the workers of a trial talk to each other."""


def asks_for_a_token() -> bool:
    """False if a Ray of our own is to run without authentication. Raises StudyError if the
    environment turns it off and does not say that this is meant."""
    mode = os.environ.get("RAY_AUTH_MODE", "").lower()
    if named_cluster() or mode in ("", "token"):
        return True
    if os.environ.get(ALLOW) == "1":
        return False
    raise StudyError(
        f"RAY_AUTH_MODE={mode} starts a Ray without authentication, and every user of this machine "
        f"could run code as you: unset RAY_AUTH_MODE, or set {ALLOW}=1 if nobody else uses it"
    )


@contextmanager
def kept_private(folder: Path) -> Iterator[Path | None]:
    """Have a Ray that is started inside the block keep its files in `folder`, ask for a token of
    its own and listen on the loopback interface. Yields the file with the token; None without one.

    Processes that are started inside have their temporary files in the folder, too. folder: one
    that only its user can enter.
    """
    temporary = folder / "tmp"
    temporary.mkdir()
    changes: dict[str, str | None] = {"TMPDIR": str(temporary), "RAY_TMPDIR": str(folder)}
    changes |= _LOOPBACK
    if "lo" in {name for _, name in socket.if_nameindex()}:
        changes |= {name: "lo" for name in _COLLECTIVES if not os.environ.get(name)}
    token = None
    if asks_for_a_token():
        token = _new_token(folder)
        # Without a mode Ray turns authentication on by itself, in this process, too.
        changes |= {
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_AUTH_TOKEN": None,
            "RAY_AUTH_MODE": None,
        }
    with ExitStack() as stack:
        stack.callback(_read_settings_again)
        stack.enter_context(_environment(changes))
        stack.enter_context(_temporary_files_in(temporary))
        stack.enter_context(_loopback())
        _forget_token()
        stack.callback(_forget_token)
        yield token


@contextmanager
def secrets_stay() -> Iterator[None]:
    """Keep Ray Tune from copying credentials out of the environment into the runtime environment of
    trials, which appears in argument lists and logs. Processes of a Ray of our own inherit them."""
    cache: Any = import_module("ray.tune.execution.class_cache")
    original = cache.ENV_VARS_TO_PROPAGATE
    # All others are settings of Ray.
    cache.ENV_VARS_TO_PROPAGATE = {name for name in original if not name.startswith("AWS_")}
    try:
        yield
    finally:
        cache.ENV_VARS_TO_PROPAGATE = original


def _new_token(folder: Path) -> Path:
    path = folder / TOKEN
    path.touch(0o600, exist_ok=False)
    path.write_text(secrets.token_hex(32), "utf-8")
    return path


def _forget_token() -> None:
    """Have Ray read the token anew: it keeps the first one that this process has used."""
    if not missing([_TOKEN_CACHE]):
        loader: Any = import_module("ray._raylet").AuthenticationTokenLoader
        loader.instance().reset_cache()


def _read_settings_again() -> None:
    """Have Ray's core take its settings from the environment: started without a mode, it goes on
    asking for a token in this process, and ends it where there is none."""
    if not missing([_SETTINGS]):
        config: Any = import_module("ray._raylet").Config
        config.initialize("")


@contextmanager
def _loopback() -> Iterator[None]:
    """Apply `_LOOPBACK` in this process, where Ray may have been imported before."""
    if missing([_ADDRESS_SWITCH]):
        yield
        return
    constants: Any = import_module("ray._private.ray_constants")
    original = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = original


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Apply TMPDIR in this process, too."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def _environment(changes: dict[str, str | None]) -> Iterator[None]:
    """Set environment variables inside the block; None removes one."""
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            with suppress(KeyError):
                del os.environ[name]
        else:
            os.environ[name] = value
