"""Turns the name of a policy into the local folder of a transformers model."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from conspo_study.config import PolicyConfig
from conspo_study.files import digest
from conspo_study.policy.errors import NoModelError
from conspo_study.policy.files import CONFIG, no_model
from conspo_study.policy.gguf import converted, converted_before, smollm2_file
from conspo_study.policy.hub import cached_snapshot, offline, snapshot
from conspo_study.policy.identity import folder_hash

SMOLLM2 = "smollm2"
_HUB_NAME = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*)(?:@(\w[\w./-]*))?")


class Source(NamedTuple):
    """The source of a policy; exactly one of the three is set."""

    gguf: Path | None = None
    folder: Path | None = None
    hub: tuple[str, str | None] | None = None
    """Name and revision (None: the main branch)."""


def source_of(model: str) -> Source:
    """The source that `policy.model` names, except `embedded`.

    An existing folder takes precedence over a model of the hub. Raises NoModelError for any other
    name, ModuleNotFoundError if the package of `smollm2` is missing.
    """
    if model == SMOLLM2:
        return Source(gguf=smollm2_file())
    path = _expanded(model)
    if path.suffix == ".gguf" and path.is_file():
        return Source(gguf=path)
    if os.path.lexists(path / CONFIG):
        return Source(folder=path)
    name = _HUB_NAME.fullmatch(model)
    if name is None or os.path.lexists(path) or path.suffix == ".gguf":
        raise NoModelError(
            f"{no_model(path)}{_nearby(path)}; use a local folder, a .gguf file, a model of the "
            "hub (org/name), smollm2 or embedded"
        )
    return Source(hub=(name[1], name[2]))


def model_folder(config: PolicyConfig, on_notice: Callable[[str], None] = print) -> Path:
    """The folder of `config.model`, except `embedded`; fetched or converted now if necessary.

    Concurrent calls are safe: one process works and the others wait. Raises ValueError, OSError or
    ModuleNotFoundError with a one-line message that says what to do.
    """
    gguf, folder, hub = source_of(config.model)
    if gguf is not None:
        return converted(gguf, on_notice)
    if folder is not None:
        return folder
    assert hub is not None
    try:
        return snapshot(*hub, code=config.trust_remote_code)
    except OSError as error:
        if near := _nearby(Path(config.model)):
            raise OSError(f"{error}{near}") from error
        raise


def refuse_unreachable(config: PolicyConfig) -> None:
    """Raise the errors of `model_folder` that can be detected without work or a network: an invalid
    name, or a model of the hub that is not cached while the hub is disabled."""
    if source_of(config.model).hub is not None and folder_at_hand(config) is None and offline():
        model_folder(config)


def folder_at_hand(config: PolicyConfig) -> Path | None:
    """The folder that `model_folder` would return without work or a network; else None."""
    try:
        gguf, folder, hub = source_of(config.model)
    except (NoModelError, ModuleNotFoundError):
        return None
    if gguf is not None:
        return converted_before(gguf)
    return cached_snapshot(*hub, code=config.trust_remote_code) if hub is not None else folder


def model_identity(config: PolicyConfig) -> str:
    """A text that identifies the model of `config`: the commit of a model of the hub, or a hash of
    the content of a file or folder.

    Fetches the model if necessary. Raises the errors of `model_folder`.
    """
    source = source_of(config.model)
    if source.gguf is not None:
        return digest(source.gguf)
    if source.folder is not None:
        return folder_hash(source.folder)
    return f"commit {model_folder(config).name}"


def _expanded(model: str) -> Path:
    path = Path(model)
    try:
        return path.expanduser()
    except RuntimeError:  # `~user` of an unknown user
        return path


def _nearby(path: Path) -> str:
    """`; did you mean ...?` with existing paths similar to one that does not exist; else empty."""
    if path.exists():
        return ""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=2, cutoff=0.5)
    return (
        f"; did you mean {' or '.join(str(path.parent / name) for name in close)}?" if close else ""
    )
