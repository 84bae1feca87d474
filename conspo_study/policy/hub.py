"""Models of the Hugging Face hub, from its local cache if they are there."""

from __future__ import annotations

from pathlib import Path

from conspo_study.untrusted import read_object

_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
"""Files of weights, configuration and tokenizer, in formats that cannot carry code."""
_MOST = 64 << 20
"""Bytes of an index of weight files."""
_NOT = ("*/*", "consolidated*")
"""Files with copies of the weights for other programs."""


def snapshot(name: str, revision: str | None, *, code: bool = False) -> Path:
    """The folder of model `name`, downloaded unless the local cache has all of it.

    A cached `revision` (by default the main branch) is used without asking the hub for a newer one.
    code: also fetch the model's Python files. Raises OSError with a one-line message.
    """
    cached = cached_snapshot(name, revision, code=code)
    if cached is not None:
        return cached
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=revision, **_choice(code)))
        missing = missing_file(folder)
    except Exception as error:  # any error of hub, network or disk, with long messages
        cause = error.__cause__ or error
        reason = " ".join(str(cause).split())[:200].rstrip(".") or type(cause).__name__
        raise OSError(
            f"policy.model: {_full(name, revision)} is neither a local folder nor in the local "
            f"hub cache, and cannot be downloaded: {reason}. Download it where there is a network "
            f"(hf download {name}) or use a local folder"
        ) from error
    if missing is not None:
        raise OSError(
            f"policy.model: {_full(name, revision)} has no {missing}: only models with weights in "
            "the safetensors format are loaded"
        )
    return folder


def cached_snapshot(name: str, revision: str | None, *, code: bool = False) -> Path | None:
    """The folder of the model in the local hub cache; None unless the cache has all of it."""
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
    """True if the environment forbids requests to the hub (`HF_HUB_OFFLINE`)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def missing_file(folder: Path) -> str | None:
    """The first file that a transformers model needs and `folder` lacks; None if complete."""
    if not (folder / "config.json").is_file():
        return "config.json"
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return None if any(folder.glob("*.safetensors")) else "model.safetensors"
    try:
        shards = set(read_object(index, _MOST)["weight_map"].values())
        return next((name for name in sorted(shards) if not (folder / name).is_file()), None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} cannot be read: fetch the model again") from error


def _choice(code: bool) -> dict[str, list[str]]:
    return {
        "allow_patterns": [*_FILES, *(["*.py"] if code else [])],
        "ignore_patterns": list(_NOT),
    }


def _full(name: str, revision: str | None) -> str:
    return f"{name}@{revision}" if revision else name
