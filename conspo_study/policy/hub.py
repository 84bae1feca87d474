"""Models of the Hugging Face hub, from its local cache where they are there already."""

from __future__ import annotations

import json
from pathlib import Path

_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
"""Weights, configuration and tokenizer. No format among them can carry code."""
_NOT = ("*/*", "consolidated*")
"""Copies of the weights for other programs."""


def snapshot(name: str, revision: str | None, *, code: bool = False) -> Path:
    """The folder of the model `name`, downloaded now unless it is in the local cache as a whole.

    What is cached under `revision`, or as the main branch, is used without asking the hub for
    something newer. `code` also fetches the model's Python files. Raises OSError in one line.
    """
    found = cached_snapshot(name, revision, code=code)
    if found is not None:
        return found
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=revision, **_choice(code)))
        lacking = missing_file(folder)
    except Exception as error:  # the hub's, the network's and the disk's own, often pages long
        cause = error.__cause__ or error
        reason = " ".join(str(cause).split())[:200].rstrip(".") or type(cause).__name__
        raise OSError(
            f"policy.model: {_full(name, revision)} is neither a local folder nor in the local "
            f"hub cache, and the hub did not give it: {reason}. Download it where there is a "
            f"network (hf download {name}) or name a local folder"
        ) from error
    if lacking is not None:
        raise OSError(
            f"policy.model: {_full(name, revision)} has no {lacking}: only models with weights in "
            "the safetensors format are loaded"
        )
    return folder


def cached_snapshot(name: str, revision: str | None, *, code: bool = False) -> Path | None:
    """The folder of the model in the local hub cache; None where it is not there as a whole."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(name, revision=revision, local_files_only=True, **_choice(code))
        )
    except LocalEntryNotFoundError:
        return None
    return folder if missing_file(folder) is None else None


def offline() -> bool:
    """Whether the environment forbids to ask the hub (`HF_HUB_OFFLINE`)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def missing_file(folder: Path) -> str | None:
    """The first file that a transformers model needs and `folder` lacks."""
    if not (folder / "config.json").is_file():
        return "config.json"
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return None if any(folder.glob("*.safetensors")) else "model.safetensors"
    try:
        shards = set(json.loads(index.read_bytes())["weight_map"].values())
        return next((name for name in sorted(shards) if not (folder / name).is_file()), None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} cannot be read: fetch the model again") from error


def _choice(code: bool) -> dict[str, list[str]]:
    return {
        "allow_patterns": [*_FILES, *(["*.py"] if code else [])],
        "ignore_patterns": list(_NOT),
    }


def _full(name: str, revision: str | None) -> str:
    return f"{name}@{revision}" if revision else name
