"""LoRA: small matrices are trained beside the layers of a model that stays as it is.

The adapted model is the same object with some of its linear layers replaced, so that everything
which scores, samples or counts its parameters goes on as before. On disk it is an adapter in
PEFT's format, which names the model it belongs to.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from conspo_study.config import PolicyConfig
from conspo_study.policy.errors import PolicyError

ADAPTER = "adapter_model.safetensors"
ALL_LINEAR = "all-linear"
_NAME = "default"
_SEED = 0
"""Of the adapters' initial values: all trials of a study begin with the same."""
_PREFIX = "base_model.model."
"""Before the names of tensors in PEFT's format."""


def add_adapters(model: Any, config: PolicyConfig) -> None:
    """Put adapters that change nothing yet beside the targets; only they are trainable from here.

    Raises ModuleNotFoundError with the command to install peft, PolicyError for a target that the
    model has no linear layer for.
    """
    if find_spec("peft") is None:
        raise ModuleNotFoundError(
            "policy.lora_rank: adapters need peft: pip install 'conspo-study[lora]'"
        )
    from peft import LoraConfig, inject_adapter_in_model

    check_targets(model, config.lora_targets)
    everything = config.lora_targets == (ALL_LINEAR,)
    settings = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules=ALL_LINEAR if everything else list(config.lora_targets),
        base_model_name_or_path=config.model,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        inject_adapter_in_model(settings, model, _NAME)
    model.eval()


def has_adapters(model: Any) -> bool:
    """Whether `add_adapters` has been called on the model."""
    return bool(getattr(model, "peft_config", None))


def merged_state(model: Any) -> dict[str, torch.Tensor]:
    """The weights that the policy acts by, under the names of the model without adapters.

    This is what an engine with weights of its own must be given. Tensors that no adapter touches
    are the model's own, not copies; a model without adapters gives its `state_dict()`.
    """
    state: dict[str, torch.Tensor] = model.state_dict()
    if not has_adapters(model):
        return state
    merged = {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in state.items()
        if not _is_adapters(name)
    }
    with torch.no_grad():
        for name, module in model.named_modules():
            if hasattr(module, "get_delta_weight"):
                weight = module.get_base_layer().weight
                merged[f"{name}.weight"] = weight + module.get_delta_weight(_NAME).to(weight)
    return merged


def save_adapters(model: Any, folder: Path) -> None:
    """Write the adapters as a folder that PEFT loads on top of the model that they belong to."""
    tensors = {_on_disk(name): value for name, value in _adapter_tensors(model).items()}
    save_file(tensors, folder / ADAPTER, metadata={"format": "pt"})
    settings = model.peft_config[_NAME].to_dict()
    plain = {key: sorted(v) if isinstance(v, set) else v for key, v in settings.items()}
    (folder / "adapter_config.json").write_text(
        json.dumps(plain, indent=1, sort_keys=True), "utf-8"
    )


def load_adapters(model: Any, folder: Path) -> None:
    """Restore in place what `save_adapters` wrote. Raises ValueError when it does not fit."""
    own, found = _adapter_tensors(model), load_file(folder / ADAPTER)
    if {_on_disk(name): value.shape for name, value in own.items()} != {
        name: value.shape for name, value in found.items()
    }:
        raise ValueError(f"{ADAPTER} does not fit the adapters of this run")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(found[_on_disk(name)])


def check_targets(model: Any, targets: tuple[str, ...]) -> None:
    """Raise PolicyError for a target that the model has no linear layer for."""
    if targets == (ALL_LINEAR,):
        return
    known = {
        name.rpartition(".")[2]
        for name, module in model.base_model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    if strangers := [name for name in targets if name not in known]:
        raise PolicyError(
            f"policy.lora_targets: {type(model).__name__} has no linear layers called "
            f"{', '.join(strangers)} (the output head takes no adapter); it has "
            f"{', '.join(sorted(known))}"
        )


def _adapter_tensors(model: Any) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.state_dict().items() if _is_adapters(name)}


def _is_adapters(name: str) -> bool:
    return ".lora_" in name


def _on_disk(name: str) -> str:
    return _PREFIX + name.replace(f".{_NAME}.", ".")
