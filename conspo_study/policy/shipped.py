"""The weights of the default warm start, which are part of the package.

They save a minute of training on every new machine, and all machines and PyTorch versions start
from identical weights. `python -m conspo_study.training.prepare` trains and writes them again.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import LlamaForCausalLM

from conspo_study.policy.embedded import untrained_model

PATH = Path(__file__).with_name("warm_start.safetensors")
_RECIPE = "recipe"


def shipped_recipe(path: Path = PATH) -> str:
    """The fingerprint of the recipe that the weights were trained with."""
    with safe_open(path, framework="pt") as file:
        return str(file.metadata()[_RECIPE])


def shipped_model(path: Path = PATH) -> LlamaForCausalLM:
    """The embedded model with the shipped weights."""
    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    model = untrained_model(seed=0)
    named = dict(model.named_parameters())
    if weights.keys() != named.keys():
        raise ValueError(f"{path.name} does not have the parameters of the embedded model")
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(weights[name])
    return model.eval()


def ship(model: LlamaForCausalLM, recipe: str, path: Path = PATH) -> None:
    """Write the weights trained with `recipe`."""
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    save_file(weights, path, metadata={_RECIPE: recipe, "format": "pt"})
