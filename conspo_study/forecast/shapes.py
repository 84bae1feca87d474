"""Sizes of a run's model, known beforehand or read from its folder: config.json and the headers of
its weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from conspo_study.config import PolicyConfig
from conspo_study.forecast.known_models import EMBEDDED_SHAPE, Shape, known_model
from conspo_study.policy.models import EMBEDDED, local_folder
from conspo_study.policy.safetensors_header import read_header
from conspo_study.untrusted import open_regular, read_object

_MOST_CONFIG = 16 << 20


def read_shape(policy: PolicyConfig) -> Shape | None:
    """Sizes of a model; None if they cannot be read."""
    if policy.model == EMBEDDED:
        return EMBEDDED_SHAPE
    if (known := known_model(policy.model)) is not None:
        return known
    parameters, folder = parameter_count(policy), local_folder(policy)
    if parameters is None or folder is None:
        return None
    try:
        config = read_object(folder / "config.json", _MOST_CONFIG)
        config = config.get("text_config") or config
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        return Shape(
            parameters=parameters,
            hidden=hidden,
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or hidden // heads),
            intermediate=int(config["intermediate_size"]),
            vocabulary=int(config["vocab_size"]),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ZeroDivisionError):
        return None


def parameter_count(policy: PolicyConfig) -> int | None:
    """Number of parameters of a model; None if it is unknown and not on this machine yet, or cannot
    be read."""
    if policy.model == EMBEDDED:
        return EMBEDDED_SHAPE.parameters
    total = sum(map(math.prod, _shapes_of(policy).values()))
    known = known_model(policy.model)
    return total or (known.parameters if known else None)


def adapted_matrices(policy: PolicyConfig) -> list[Sequence[int]]:
    """Shapes of the matrices that get a LoRA adapter; none if the model's are unknown."""
    shapes, known = _shapes_of(policy), known_model(policy.model)
    if not shapes and known is not None:
        shapes = dict(known.matrices())
    return [shape for name, shape in shapes.items() if _is_adapted(name, shape, policy)]


def trained_parameters(policy: PolicyConfig) -> int | None:
    """Number of parameters that training changes; None if those of the model are unknown."""
    if not policy.lora_rank:
        return parameter_count(policy)
    # For each adapted matrix [out, in]: rank x in and out x rank.
    return policy.lora_rank * sum(map(sum, adapted_matrices(policy))) or None


def _shapes_of(policy: PolicyConfig) -> dict[str, list[int]]:
    """Names and shapes of the weights of a model on this machine; empty if there is none."""
    folder = local_folder(policy)
    try:
        return dict(_shapes(folder)) if folder is not None else {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _shapes(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Names and shapes of a model's weights, from the headers of its safetensors files."""
    for path in folder.glob("*.safetensors"):
        with open_regular(path, None) as file:
            tensors = read_header(file).tensors
        yield from ((name, tensor["shape"]) for name, tensor in tensors.items())


def _is_adapted(name: str, shape: Sequence[int], policy: PolicyConfig) -> bool:
    """True for a weight that gets an adapter: a matrix of a layer, not an embedding or the head."""
    layer = name.removesuffix(".weight").rpartition(".")[2]
    everything = policy.lora_targets == ("all-linear",)
    return len(shape) == 2 and ((everything and ".layers." in name) or layer in policy.lora_targets)
