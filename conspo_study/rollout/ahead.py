"""Stores rollouts in checkpoints: those that were sampled ahead and are not trained on yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from conspo_study.records import FinishStatus, Rollout

_STATUSES = tuple(FinishStatus)


def save_rollouts(path: Path, groups: Sequence[Sequence[Rollout]]) -> None:
    """Write rollouts, grouped by prompt; `load_rollouts` returns equal ones."""
    rollouts = list(chain.from_iterable(groups))
    texts = [rollout.text.encode("utf-8", "surrogatepass") for rollout in rollouts]
    columns = {
        "group_sizes": [len(group) for group in groups],
        "lengths": [len(rollout.tokens) for rollout in rollouts],
        "tokens": [token for rollout in rollouts for token in rollout.tokens],
        "statuses": [_STATUSES.index(rollout.status) for rollout in rollouts],
        "weights_versions": [rollout.weights_version for rollout in rollouts],
        "text_lengths": [len(text) for text in texts],
    }
    tensors = {name: torch.tensor(values, dtype=torch.int64) for name, values in columns.items()}
    logprobs = [p for rollout in rollouts for p in rollout.logprobs]
    tensors["logprobs"] = torch.tensor(logprobs, dtype=torch.float64)
    tensors["texts"] = torch.from_numpy(np.frombuffer(b"".join(texts), dtype=np.uint8).copy())
    save_file(tensors, path)


def load_rollouts(path: Path) -> list[tuple[Rollout, ...]]:
    """The rollouts written by `save_rollouts`. Raises OSError or SafetensorError for an unreadable
    file, KeyError or ValueError for other content."""
    tensors = load_file(path)
    columns = {name: tensor.tolist() for name, tensor in tensors.items() if name != "texts"}
    lengths, text_lengths = columns["lengths"], columns["text_lengths"]
    text = tensors["texts"].numpy().tobytes()
    if (
        not sum(lengths) == len(columns["tokens"]) == len(columns["logprobs"])
        or len(text) != sum(text_lengths)
        or len(lengths) != sum(columns["group_sizes"])
        or not set(columns["statuses"]) <= set(range(len(_STATUSES)))
    ):
        raise ValueError(f"{path.name} has incomplete rollouts")
    tokens, logprobs, stream = iter(columns["tokens"]), iter(columns["logprobs"]), BytesIO(text)
    rollouts = [
        Rollout(
            tokens=tuple(islice(tokens, length)),
            logprobs=tuple(islice(logprobs, length)),
            status=_STATUSES[status],
            text=stream.read(size).decode("utf-8", "surrogatepass"),
            weights_version=version,
        )
        for length, size, status, version in zip(
            lengths, text_lengths, columns["statuses"], columns["weights_versions"], strict=True
        )
    ]
    return list(_grouped(iter(rollouts), columns["group_sizes"]))


def _grouped(rollouts: Iterator[Rollout], sizes: Sequence[int]) -> Iterator[tuple[Rollout, ...]]:
    for size in sizes:
        yield tuple(islice(rollouts, size))
