"""LoRA: trains low-rank adapters of linear layers and leaves the model's own weights unchanged.

The adapted model is the same object with some linear layers replaced, so that code which scores,
samples or counts parameters needs no change. On disk it is an adapter in PEFT's format, which names
its base model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from conspo_study.config import PolicyConfig
from conspo_study.policy.errors import PolicyError, require_peft

ADAPTER = "adapter_model.safetensors"
ALL_LINEAR = "all-linear"
_NAME = "default"
_SEED = 0
"""Seed of the adapters' initial values, which all trials of a study share."""
_PREFIX = "base_model.model."
"""Prefix of tensor names in PEFT's format."""


def add_adapters(model: PreTrainedModel, config: PolicyConfig) -> None:
    """Add adapters, initially without effect, to the targets; from then on only they are trainable.

    Raises ModuleNotFoundError, with the command to install peft, and PolicyError for a target that
    matches no linear layer.
    """
    require_peft()
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


def has_adapters(model: PreTrainedModel) -> bool:
    """True if `add_adapters` has been called on the model."""
    return bool(getattr(model, "peft_config", None))


@contextmanager
def without_adapters(model: PreTrainedModel) -> Iterator[None]:
    """Let the model compute as it did before `add_adapters`; for passes without gradients. A model
    without adapters is unaffected."""
    layers = [module for module in model.modules() if hasattr(module, "get_delta_weight")]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def merged_state(model: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor, bool]]:
    """The state of the policy with adapters merged, under the names of the model without adapters:
    names, values, and whether a value was made by merging.

    Engines that hold a copy of the weights need it. Weights are merged one by one when their turn
    comes, so that no second model is in memory. The others are the model's own, not copies; without
    adapters all of `model.state_dict()` is.
    """
    adapted = {
        f"{name}.base_layer.weight": module
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight")
    }
    for name, tensor in model.state_dict().items():
        if name in adapted:
            with torch.no_grad():
                merged = tensor + adapted[name].get_delta_weight(_NAME).to(tensor)
            yield _without_adapter(name), merged, True
        elif not _is_adapters(name):
            yield _without_adapter(name), tensor, False


def save_adapters(model: PreTrainedModel, folder: Path) -> None:
    """Write the adapters as a folder that PEFT loads on top of their base model."""
    tensors = {_on_disk(name): value for name, value in _adapter_tensors(model).items()}
    save_file(tensors, folder / ADAPTER, metadata={"format": "pt"})
    settings = model.peft_config[_NAME].to_dict()
    plain = {key: sorted(v) if isinstance(v, set) else v for key, v in settings.items()}
    (folder / "adapter_config.json").write_text(
        json.dumps(plain, indent=1, sort_keys=True), "utf-8"
    )


def load_adapters(model: PreTrainedModel, folder: Path) -> None:
    """Restore in place the adapters written by `save_adapters`. Raises ValueError if they do not
    match those of `model`."""
    adapters, stored = _adapter_tensors(model), load_file(folder / ADAPTER)
    if {_on_disk(name): value.shape for name, value in adapters.items()} != {
        name: value.shape for name, value in stored.items()
    }:
        raise ValueError(f"{ADAPTER} does not match the adapters of this run")
    with torch.no_grad():
        for name, value in adapters.items():
            value.copy_(stored[_on_disk(name)])


def check_targets(model: PreTrainedModel, targets: tuple[str, ...]) -> None:
    """Raise PolicyError for a target that matches no linear layer of the model."""
    if targets == (ALL_LINEAR,):
        return
    known = {
        name.rpartition(".")[2]
        for name, module in model.base_model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    if unknown := [name for name in targets if name not in known]:
        raise PolicyError(
            f"policy.lora_targets: {type(model).__name__} has no linear layers called "
            f"{', '.join(unknown)} (the output head takes no adapter); it has "
            f"{', '.join(sorted(known))}"
        )


def _adapter_tensors(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.state_dict().items() if _is_adapters(name)}


def _without_adapter(name: str) -> str:
    return name.replace(".base_layer.", ".")


def _is_adapters(name: str) -> bool:
    return ".lora_" in name


def _on_disk(name: str) -> str:
    return _PREFIX + name.replace(f".{_NAME}.", ".")
