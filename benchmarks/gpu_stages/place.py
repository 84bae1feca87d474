"""Where the stages run: a GPU, or a CPU on which they are rehearsed in miniature."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel, Qwen2Config

from conspo_study.policy.packed_attention import enable_packing

GIB = 2**30
Found = tuple[dict[str, Any], list[str]]
"""The numbers of a stage, and what is wrong with them; nothing, if it passes."""
SMALL: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
SHAPES = {
    # SmolLM2-135M
    "135m": LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
    ),
    # DeepSeek-R1-Distill-Qwen-1.5B
    "1.5b": Qwen2Config(
        vocab_size=151936,
        hidden_size=1536,
        intermediate_size=8960,
        num_hidden_layers=28,
        num_attention_heads=12,
        num_key_value_heads=2,
        max_position_embeddings=131072,
        tie_word_embeddings=False,
    ),
    "miniature": Qwen2Config(**SMALL, max_position_embeddings=32768, tie_word_embeddings=False),
}


@dataclass(frozen=True, slots=True)
class Place:
    """The device of the stages."""

    gpu: bool
    scratch: Path
    """A folder for files."""

    @property
    def device(self) -> torch.device:
        """The device itself."""
        return torch.device("cuda" if self.gpu else "cpu")

    def wait(self) -> None:
        """Wait for all work of the device."""
        if self.gpu:
            torch.cuda.synchronize()

    def forget(self) -> None:
        """Free what nobody uses, and begin to look for a new peak."""
        gc.collect()
        if self.gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_gib(self) -> float:
        """Most memory of tensors since `forget`; 0 on a CPU."""
        return torch.cuda.max_memory_allocated() / GIB if self.gpu else 0.0

    def held_gib(self) -> float:
        """Memory of tensors now; 0 on a CPU."""
        return torch.cuda.memory_allocated() / GIB if self.gpu else 0.0

    def seconds(self, work: Callable[[], Any], runs: int = 3) -> float:
        """The least time of a few runs, after one that loads kernels."""
        work()
        found = []
        for _ in range(runs):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            found.append(time.perf_counter() - start)
        return min(found)

    def model(self, shape: str) -> PreTrainedModel:
        """A model with random weights on the device; on a CPU a miniature."""
        torch.manual_seed(0)
        config = SHAPES[shape if self.gpu else "miniature"]
        with self.device:
            model = AutoModelForCausalLM.from_config(
                config, dtype=torch.float32, attn_implementation="sdpa"
            )
        enable_packing(model)
        return model.eval()
