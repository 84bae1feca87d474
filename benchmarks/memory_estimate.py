"""The memory that the plan of a study expects of a worker, against what one needed.

    python benchmarks/memory_estimate.py [--json results.json]

Random models are sampled from and updated at the limits that the estimate assumes: every prompt and
response is as long as it may be. Each run is a process of its own. The numbers to read are the
ratios of measured to estimated bytes, the process itself left out of both.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from conspo_study.config import RunConfig, with_overrides
from conspo_study.forecast.memory import PROCESS_BYTES, estimate_memory
from conspo_study.text import size_text

PROMPT, RESPONSE = 96, 160
SIZES: dict[str, dict[str, int]] = {
    "hidden 512, 8 layers, vocabulary 32k": {"vocab_size": 32_000, "hidden_size": 512},
    "hidden 256, 8 layers, vocabulary 100k": {"vocab_size": 100_000, "hidden_size": 256},
}
LAYERS = 8
PRECISIONS = ("float32", "bfloat16")


def build(folder: Path, sizes: dict[str, int]) -> None:
    """A model folder with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden = sizes["hidden_size"]
    config = LlamaConfig(
        **sizes,
        num_hidden_layers=LAYERS,
        intermediate_size=hidden * 8 // 3,
        num_attention_heads=hidden // 64,
        num_key_value_heads=hidden // 128,
        tie_word_embeddings=True,
        eos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def configured(folder: Path, precision: str) -> RunConfig:
    """A run whose micro-batches are full."""
    return with_overrides(
        RunConfig(),
        {
            "policy.model": str(folder),
            "policy.precision": precision,
            "data.max_prompt_tokens": PROMPT,
            "rollout.max_new_tokens": RESPONSE,
            "rollout.prompts_per_step": 4,
            "rollout.group_size": 8,
            "rollout.batch_rows": 32,
            "evaluation.problems_per_set": 1,
            "update.micro_batch_tokens": 2048,
        },
    )


def measure(folder: Path, precision: str, activity: str) -> float:
    """Bytes at the peak beyond the process before it loads the model."""
    import resource

    import torch
    from transformers import AutoModelForCausalLM

    from conspo_study.policy.logprobs import response_logprobs
    from conspo_study.rollout.engine import Sampling
    from conspo_study.rollout.transformers_engine import TransformersEngine
    from conspo_study.update.gradient import MicroBatchedPolicy
    from conspo_study.update.micro_batches import Budget
    from conspo_study.update.resident import peak_resident_bytes
    from conspo_study.update.step import Updater
    from conspo_study.update.world import World

    class Words:
        """What the engine asks of a tokenizer; no response ends early."""

        eos_token_id = -1

        def batch_decode(self, rows: list[Any], **_: Any) -> list[str]:
            return [""] * len(rows)

    torch.set_num_threads(1)
    torch.zeros(8, requires_grad=True).sum().backward()
    held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    config = configured(folder, precision)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    updater = Updater(model, config.update, World())
    vocabulary = model.config.vocab_size

    def rows(count: int, length: int) -> list[list[int]]:
        return torch.randint(vocabulary, (count, length)).tolist()

    def update(count: int) -> None:
        policy = MicroBatchedPolicy(
            partial(response_logprobs, model, precision=precision),
            updater.parameters,
            Budget(config.update.micro_batch_tokens),
        )
        scores = policy.score(rows(count, PROMPT), rows(count, RESPONSE))
        policy.backward(scores, torch.ones_like(scores.logprobs_T))
        updater.step()

    update(1)  # brings the optimiser's state
    if activity == "updating":
        update(config.rollout.prompts_per_step * config.rollout.group_size)
    else:
        engine = TransformersEngine(model, Words(), config.rollout.batch_rows, precision=precision)
        sampling = Sampling(1.0, RESPONSE)
        engine.generate(rows(4, PROMPT), config.rollout.group_size, sampling, range(4))
    return peak_resident_bytes() - held


def in_a_process(folder: Path, precision: str, activity: str) -> float:
    """`measure` where nothing else has used memory."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", str(folder), precision, activity],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"},
    )
    return float(done.stdout)


def compare(sizes: dict[str, int], precision: str) -> dict[str, dict[str, float]]:
    """Measured and estimated bytes of each activity."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder, sizes)
        need = estimate_memory(configured(folder, precision), seeds=1)
        assert need is not None
        standing = sum(item.bytes for item in need.standing) - PROCESS_BYTES
        found = {}
        for activity in ("updating", "sampling"):
            more = sum(item.bytes for item in getattr(need, activity))
            measured = in_a_process(folder, precision, activity)
            found[activity] = {"measured": measured, "estimated": standing + more}
        return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        folder, precision, activity = arguments.measure
        print(measure(Path(folder), precision, activity))
        return
    table = []
    for name, sizes in SIZES.items():
        for precision in PRECISIONS:
            for activity, row in compare(sizes, precision).items():
                ratio = row["measured"] / row["estimated"]
                table.append({"model": name, "precision": precision, "activity": activity} | row)
                print(
                    f"{name:38} {precision:8} {activity:8} measured "
                    f"{size_text(row['measured']):>7} estimated {size_text(row['estimated']):>7} "
                    f"ratio {ratio:.2f}",
                    flush=True,
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
