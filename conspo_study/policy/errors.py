"""Errors about models, importable without the libraries that load models."""

from __future__ import annotations

from importlib.util import find_spec

from conspo_study.text import first_line


class PolicyError(ValueError):
    """A model that cannot be trained as it is; a retry would fail in the same way."""


class NoModelError(PolicyError, FileNotFoundError):
    """A path or name without a model."""


def require_peft() -> None:
    """Raise ModuleNotFoundError, with the command to install it, where peft is missing."""
    if find_spec("peft") is None:
        raise ModuleNotFoundError(
            "policy.lora_rank: adapters need peft: pip install 'conspo-study[lora]'"
        )


def reason(error: BaseException) -> str:
    """The first line of an error's message, which in transformers may go on for pages."""
    return first_line(str(error)) or repr(error)
