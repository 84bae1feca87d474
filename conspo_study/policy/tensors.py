"""Checks that the tensors in a model's files are those that its config.json describes.

transformers itself reports missing tensors: it renames and fuses tensors in many ways, and fills
missing ones with random values.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import convert_and_load_state_dict_in_model
from transformers.modeling_utils import LoadStateDictConfig, load_state_dict

from conspo_study.policy.files import some, weight_files
from conspo_study.policy.quiet import quietly

_WRAPPERS = frozenset(
    {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
)
"""Parts that torch.compile, FSDP, activation checkpointing and DeepSpeed insert anywhere in the
names of tensors; other programs add a prefix."""


def header_problems(model: PreTrainedModel, folder: Path) -> list[str]:
    """Like `tensor_problems`, for a model on the meta device, from the headers of its files."""
    state: dict[str, torch.Tensor] = {}
    for path in weight_files(folder):
        state |= load_state_dict(path, map_location="meta")
    loading = LoadStateDictConfig(
        device_map={"": torch.device("meta")},
        dtype=torch.float32,
        weight_mapping=get_model_conversion_mapping(model),
    )
    with quietly():
        info, _ = convert_and_load_state_dict_in_model(model, state, loading)
        model.tie_weights(missing_keys=info.missing_keys, recompute_mapping=False)
        model._adjust_missing_and_unexpected_keys(info)
    return tensor_problems(model, folder, info.to_dict())


def tensor_problems(model: PreTrainedModel, folder: Path, info: dict[str, Any]) -> list[str]:
    """Problems with the tensors of a model: one message for missing and one for mismatched ones.

    info: the loading info returned by `from_pretrained(..., output_loading_info=True)`.
    """
    missing = set(info["missing_keys"])
    if model.is_custom_code():  # it may compute its buffers itself
        missing &= {name for name, _ in model.named_parameters()}
    problems = []
    if missing:
        total = len(model.state_dict())
        what = _missing(sorted(missing), sorted(info["unexpected_keys"]), total, folder)
        problems.append(f"policy.model: {folder}: {what}")
    if info["mismatched_keys"]:
        mismatched = sorted(info["mismatched_keys"], key=lambda entry: str(entry[0]))
        name, stored, expected = mismatched[0]
        problems.append(
            f"policy.model: {folder}: {name} is {list(stored)} in the weights and {list(expected)} "
            f"by config.json (the first of {len(mismatched)} such tensors): they belong to "
            "different models; fetch both again"
        )
    return problems


def restore_padding_row(model: PreTrainedModel, folder: Path) -> None:
    """Give the padding token the embedding that the files have: some architectures set it to zero
    when they are loaded, and with it that token's logit if the output head is tied."""
    embedding = model.get_input_embeddings()
    row = getattr(embedding, "padding_idx", None)
    if row is None:
        return
    name = next(name for name, p in model.named_parameters() if p is embedding.weight)
    for path in weight_files(folder):
        with safe_open(path, "pt") as stored:
            if name in set(stored.keys()):
                with torch.no_grad():
                    embedding.weight[row] = stored.get_slice(name)[row]


def first_nonfinite(tensors: Iterable[tuple[str, torch.Tensor]]) -> str | None:
    """The name of the first tensor with a non-finite value; None without one."""
    for name, tensor in tensors:
        if not tensor.numel() or not tensor.is_floating_point():
            continue
        # Minimum and maximum are NaN if any value is; no tensor of the same size is allocated.
        if not all(end.isfinite() for end in torch.aminmax(tensor.detach())):
            return name
    return None


def _missing(missing: list[str], unexpected: list[str], total: int, folder: Path) -> str:
    """A message about missing tensors, and the other names under which they are stored, if any."""
    added = _added(missing, unexpected)
    if added is None:
        return (
            f"{len(missing)} of the model's {total} tensors are missing ({some(missing)}) and "
            "would be random, different in every seed: fetch the model again, or fix the program "
            "that saved it"
        )
    part, example = added
    times = "" if part.startswith("_") else ", 1"
    strip = (
        "import glob; from safetensors.torch import load_file, save_file; "
        f"[save_file({{k.replace({part!r}, ''{times}): v for k, v in load_file(f).items()}}, f, "
        "metadata={'format': 'pt'}) for f in glob.glob('*.safetensors')]"
    )
    return (
        f"{len(missing)} of the model's {total} tensors are missing and would be random: the files "
        f"have {part!r} in their names ({example}), added by a program that wrapped the model. To "
        f"remove it, in a copy of the folder: python -c {json.dumps(strip)}"
    )


def _added(missing: Sequence[str], unexpected: Collection[str]) -> tuple[str, str] | None:
    """The part that names in the files have and the model's lack, with one such name; None if the
    names differ in other ways."""
    wanted = set(missing)
    added = Counter[str]()
    examples: dict[str, str] = {}
    for name in unexpected:
        parts = name.split(".")
        tails = (".".join(parts[i:]) for i in range(1, len(parts)))
        tail = next((tail for tail in tails if tail in wanted), None)
        if tail is not None:
            part = name.removesuffix(tail)
        else:
            inner = [p for p in parts if p in _WRAPPERS]
            bare = ".".join(p for p in parts if p not in inner)
            if not inner or bare not in wanted:
                continue
            part = f"{inner[0]}."
        added[part] += 1
        examples.setdefault(part, name)
    if not added:
        return None
    part = added.most_common(1)[0][0]
    return part, examples[part]
