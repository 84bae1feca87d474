"""Errors about models, importable without the libraries that load models."""

from __future__ import annotations

from conspo_study.extras import require
from conspo_study.text import first_line


class PolicyError(ValueError):
    """A model that cannot be trained as it is; a retry would fail in the same way."""


class NoModelError(PolicyError, FileNotFoundError):
    """A path or name without a model."""


def require_peft() -> None:
    """Raise MissingPackage, with the command to install it, where peft is missing."""
    require("policy.lora_rank", "lora")


def reason(error: BaseException) -> str:
    """The first line of an error's message, which in transformers may go on for pages."""
    return first_line(str(error)) or repr(error)
