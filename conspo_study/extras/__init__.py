"""Optional packages: what is missing here, and the extra of this package that brings it.

`pip install conspo-study` brings objectives, verifier and analysis; all else is an extra
(`EXTRAS`). `require` raises MissingPackage, whose one line says what needs which package and what
to type; `lack` is that line. The wing imports nothing else of the project and no library.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

EXTRAS = {
    "study": ("ray", "transformers", "optuna"),
    "gguf": ("gguf", "accelerate"),
    "lora": ("peft",),
    "hub": ("datasets",),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
    "trackio": ("trackio",),
}
"""Packages that are asked for by the extra that brings them."""


class MissingPackage(ModuleNotFoundError):
    """A package of an extra is not installed; the message says what to type."""


def installed(name: str) -> bool:
    """Whether a top-level package can be imported, without importing it."""
    spec = find_spec(name)
    # A mere folder of that name, such as what a tracker wrote, has no origin.
    return spec is not None and spec.origin is not None


def lack(what: str, extra: str) -> str | None:
    """That `what` needs packages of the extra which are not installed; None if all are."""
    missing = [name for name in EXTRAS[extra] if not installed(name)]
    if not missing:
        return None
    *most, last = missing
    names = f"{', '.join(most)} and {last}" if most else last
    return f"{what} needs {names}, not installed for {sys.executable}: {command(extra)}"


def command(extra: str) -> str:
    """What one types to install an extra."""
    return f"pip install 'conspo-study[{extra}]'"


def require(what: str, extra: str) -> None:
    """Raise MissingPackage unless all packages of the extra are installed."""
    if (problem := lack(what, extra)) is not None:
        raise MissingPackage(problem)
