"""Times a whole training step of ours against one of TRL's GRPOTrainer, at equal work.

    python benchmarks/full_step.py [--model embedded|135m|smollm2] [--runs 4] [--json results.json]

Same weights, prompts in the same order, responses per prompt, response limit, temperature, loss
(GRPO without KL), AdamW and rule of reward; one update per rollout batch, on one thread. Each side
is a process of its own, started in turn; its first steps are not counted. `trl, allocator` is TRL
in a process that keeps freed memory as our workers do, which TRL's does not by itself. Numbers to
read: the ratios, per step and per response token, and whether the work was the same: tokens per
step, rewards, and the share of groups that reach the gradient. TRL computes the gradient of groups
without contrast too, which is zero; ours leaves them out. `--rule parity` gives more groups a
contrast: all but those whose responses are all the same.

`embedded` is the warm-started model on the generated task, 8 prompts x 16 responses of at most 44
tokens. `135m` is a Llama of SmolLM2-135M's shape with random weights, 2 prompts of 64 tokens x 8
responses of 32: one token in 49,152 ends a response, so all are as long as they may be. `smollm2`
is the model itself in the settings of its preset, 4 word problems behind two examples x 8 responses
of 24 tokens. Either takes some ten minutes.

TRL is installed into `.venv-trl` on the first call.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

import harness
from step_job import RULES, Job, Told

from conspo_study.config import RunConfig, with_overrides
from conspo_study.definition.presets import SMOLLM2 as PRESET
from conspo_study.records import Answered, Judgement, Verdict
from conspo_study.training.allocator import LARGEST_KEPT, MOST_KEPT, keep_freed_memory

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv-trl"
PACKAGES = ("torch", "transformers", "trl==1.16.0")
SEED = 0
WORDS = 49_152
SMOLLM2 = {
    "vocab_size": WORDS,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    # Small: tied to a large embedding, a random model would repeat its last token for ever.
    "initializer_range": 0.01,
}
PROMPT_WORDS = 64
JOBS = {
    "embedded": Job("", "chain", "boxed", 8, 16, 44, warm_up=3, steps=30),
    "135m": Job("", "", "parity", 2, 8, 32, warm_up=1, steps=2),
    "smollm2": Job(
        "smollm2",
        PRESET.data.train,
        "boxed",
        PRESET.rollout.prompts_per_step,
        PRESET.rollout.group_size,
        PRESET.rollout.max_new_tokens,
        warm_up=1,
        steps=4,
        learning_rate=PRESET.update.learning_rate,
        template=PRESET.data.template,
    ),
}
KEEPING = {
    "MALLOC_MMAP_THRESHOLD_": str(LARGEST_KEPT),
    "MALLOC_TRIM_THRESHOLD_": str(MOST_KEPT),
}
"""What `conspo_study.training.allocator` sets, for a process that does not call it."""


def trl_python() -> Path:
    """The interpreter of an environment with TRL, which is made now if there is none."""
    python, stamp = VENV / "bin" / "python", VENV / ".installed"
    if not stamp.exists():
        print(f"installing TRL into {VENV.name}, once", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pinned = ["--constraint", ROOT / "constraints.txt", *PACKAGES]
        subprocess.run([*install, *pinned], check=True)
        stamp.touch()
    return python


def configured(job: Job) -> RunConfig:
    """Our settings for a job."""
    return with_overrides(
        RunConfig(),
        {
            "data.train": job.data,
            "data.template": job.template,
            "data.chat": "off",
            "policy.model": "embedded" if job.data == "chain" else job.model,
            "rollout.prompts_per_step": job.prompts_per_step,
            "rollout.group_size": job.group_size,
            "rollout.max_new_tokens": job.limit,
            "rollout.temperature": job.temperature,
            "objective.name": "grpo",
            "update.learning_rate": job.learning_rate,
            "update.warmup_steps": 0,
            "update.beta1": job.beta1,
            "update.beta2": job.beta2,
            "update.weight_decay": 0.0,
            "update.grad_clip": job.grad_clip,
            "train.steps": job.warm_up + job.steps,
        },
    )


def prepared(name: str, rule: str | None, folder: Path) -> Job:
    """A job whose model and data are there."""
    job = JOBS[name]
    if name == "embedded":
        from conspo_study.data.arithmetic import demonstrations
        from conspo_study.policy.warm_start import warm_start

        job = replace(job, model=str(warm_start(demonstrations)))
    elif name == "smollm2":
        from conspo_study.policy.sources import model_folder

        job = replace(job, model=str(model_folder(PRESET.policy)))
    else:
        random_model(folder / "model", SMOLLM2)
        word_problems(folder / "problems.jsonl", job.prompts_per_step * (job.warm_up + job.steps))
        job = replace(job, model=str(folder / "model"), data=str(folder / "problems.jsonl"))
    return replace(job, problems=in_order(job), rule=rule or job.rule)


def in_order(job: Job) -> list[tuple[str, str]]:
    """Prompts and answers of all steps, in the order in which our side trains on them."""
    from conspo_study.data.sources import training_stream
    from conspo_study.seeds import derive_seed

    config = configured(job)
    stream = training_stream(config.data, config.evaluation, derive_seed(SEED, "order"))
    count = job.prompts_per_step * (job.warm_up + job.steps)
    problems = map(stream.problem, range(count))
    return [(job.template.replace("{problem}", p.text), p.answer) for p in problems]


def random_model(folder: Path, shape: dict[str, Any]) -> None:
    """A Llama with random weights, and a tokenizer of as many words as it has tokens."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {"<end>": 0} | {f"w{index}": index for index in range(1, shape["vocab_size"])}
    tokenizer = Tokenizer(models.WordLevel(words))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    ids = {"eos_token_id": 0, "pad_token_id": 0, "bos_token_id": None}
    LlamaForCausalLM(LlamaConfig(**shape, **ids)).save_pretrained(folder)


def word_problems(path: Path, count: int) -> None:
    """Prompts of random words, without sense."""
    rng = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for index in range(count):
            text = " ".join(f"w{rng.randrange(1, WORDS)}" for _ in range(PROMPT_WORDS))
            row = {"id": f"p{index}", "problem": text, "answer": "0"}
            file.write(json.dumps(row) + "\n")


class RuleVerifier:
    """Stands in for the verifier where a response is judged by a rule that is no mathematics."""

    def __init__(self, rule: str) -> None:
        self._rule = RULES[rule]

    last_error = ""

    def judge(self, answered: Sequence[Answered]) -> list[Judgement]:
        """The judgement on each response."""
        right = (self._rule(one.response, one.problem.answer) for one in answered)
        return [Judgement(Verdict.CORRECT if yes else Verdict.WRONG) for yes in right]


def ours(job: Job) -> Told:
    """Do the job, in this process, with the pieces of a trial."""
    import torch

    from conspo_study.reward.verifier import Verifier
    from conspo_study.training.engines import rollout_engines
    from conspo_study.training.reference import reference_policies
    from conspo_study.training.seed_run import SeedRun
    from conspo_study.update.world import World

    torch.set_num_threads(1)
    keep_freed_memory()
    config, told = configured(job), Told()
    with (
        tempfile.TemporaryDirectory() as logs,
        Verifier(config.reward) as verifier,
        rollout_engines(config, Path(logs)) as engine_of,
    ):
        judge: Any = verifier if job.rule == "boxed" else RuleVerifier(job.rule)
        world = World()
        reference_of = reference_policies(config, world)
        policy, judges = Path(job.model), (judge, judge)
        run = SeedRun(config, SEED, policy, judges, engine_of, reference_of, world)
        for step in range(job.warm_up + job.steps):
            start = time.perf_counter()
            row = run.train_step(step).metrics
            told.seconds.append(time.perf_counter() - start)
            told.tokens.append(round(row["tokens"]))
            told.rewards.append(row["reward"])
            told.trained.append(row["valid_fraction"])
    return told


def told_by(command: Sequence[object], environment: dict[str, str]) -> Told:
    """What a side tells. Raises RuntimeError with its errors when it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **environment},
    )
    if done.returncode:
        raise RuntimeError(f"{command[1]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Told.read(done.stdout)


def compared(job: Job, runs: int, folder: Path) -> dict[str, Any]:
    """Run both sides in turn and print their medians and ratios."""
    path = folder / "job.json"
    job.write(path)
    here = Path(__file__).resolve()
    theirs = [trl_python(), here.with_name("trl_grpo.py"), path]
    sides = {
        "ours": partial(told_by, [sys.executable, here, "--ours", path], {}),
        "trl": partial(told_by, theirs, {}),
        "trl, allocator": partial(told_by, theirs, KEEPING),
    }
    told: dict[str, list[Told]] = {name: [] for name in sides}

    def step_seconds(name: str, _: int) -> float:
        told[name].append(sides[name]())
        return median(told[name][-1].seconds[job.warm_up :])

    seconds = harness.in_turn(
        {name: partial(step_seconds, name) for name in sides}, runs, warm_up=0
    )
    per_token = {
        name: [sum(t.seconds[job.warm_up :]) / sum(t.tokens[job.warm_up :]) for t in told[name]]
        for name in sides
    }
    found: dict[str, Any] = {}
    print(
        f"{'':14} {'ms per step':>22} {'us per token':>22} {'tokens':>6} {'groups':>6} {'MiB':>6}  "
        "reward"
    )
    for name in sides:
        step, token = harness.Spread.of(seconds[name]), harness.Spread.of(per_token[name])
        curve = [fmean(column) for column in zip(*(t.rewards for t in told[name]), strict=True)]
        tokens = fmean(n for t in told[name] for n in t.tokens[job.warm_up :])
        share = fmean(n for t in told[name] for n in t.trained[job.warm_up :])
        peak = median(t.peak_mib for t in told[name])
        few = max(1, len(curve) // 6)
        print(
            f"{name:14} {step.text(1e3, 1):>22} {token.text(1e6, 1):>22} {tokens:6.0f} "
            f"{share:6.0%} {peak:6,.0f}  {fmean(curve[:few]):.2f} -> {fmean(curve[-few:]):.2f}"
        )
        found[name] = {"s_per_step": step, "s_per_token": token, "tokens_per_step": tokens}
        found[name] |= {"groups_trained": share, "peak_mib": peak, "rewards": curve}
    for name in list(sides)[1:]:
        step = harness.ratio(seconds[name], seconds["ours"])
        token = harness.ratio(per_token[name], per_token["ours"])
        print(f"{name} / ours: per step {step.text()}, per token {token.text()}")
        found[f"{name} / ours"] = {"per_step": step, "per_token": token}
    return found


def main() -> None:
    """Measure and print."""
    parser = harness.parser(__doc__, runs=4)
    parser.add_argument("--model", choices=list(JOBS), default="embedded")
    parser.add_argument("--rule", choices=list(RULES), help="what is rewarded")
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ours:
        print(ours(Job.read(arguments.ours)).line())
        return
    with tempfile.TemporaryDirectory() as folder:
        job = prepared(arguments.model, arguments.rule, Path(folder))
        found = compared(job, arguments.runs, Path(folder))
        settings = {key: value for key, value in asdict(job).items() if key != "problems"}
    harness.write(arguments.json, {"job": settings, **found})


if __name__ == "__main__":
    main()
