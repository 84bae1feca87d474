"""One process of verl's FSDP engine on a CPU: the gradient of an update, against the exact one.

    python verl_engine_worker.py RANK WORLD PORT MODEL_FOLDER MICRO_BATCH MODE...

Prints `{mode: relative error of all parameters together}`. verl has no platform for CPUs, but takes
one of whoever sets it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import random
import sys
from typing import Any

import torch

ROWS = 24
SETTINGS = {"objective": "conspo", "tau": 0.3, "margin": 0.3}
STEP, STEPS = 21, 100


class Flat:
    """log p of each token's successor in a flat sequence, in float64: [T] -> [T]."""

    def __init__(self, folder: str):
        from transformers import AutoModelForCausalLM

        found = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
        self.model = found.double().eval()

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        logp_TV = torch.log_softmax(self.model(tokens[None]).logits[0].double(), -1)
        steps = logp_TV[:-1].gather(1, tokens[1:, None])[:, 0]
        return torch.cat([steps, steps.new_zeros(1)])


def use_the_cpu() -> None:
    """Set a platform that says `cpu` where verl's says `cuda`."""
    from verl.plugin.platform.platform_cuda import PlatformCUDA
    from verl.plugin.platform.platform_manager import set_platform

    def nothing(*_: Any) -> None:
        return None

    answers = {
        "device_name": "cpu",
        "vendor_name": "cpu",
        "device_module": torch.cpu,
        "is_available": lambda self: True,
        "current_device": lambda self: "cpu",
        "device_count": lambda self: 1,
        "get_device_capability": lambda self, index=0: (None, None),
        "communication_backend_name": lambda self: "gloo",
        "nvtx_range": lambda self, message: contextlib.nullcontext(),
        **dict.fromkeys(("set_device", "synchronize", "set_allocator_settings"), nothing),
        **dict.fromkeys(("manual_seed", "manual_seed_all", "empty_cache"), nothing),
    }
    set_platform(type("PlatformCPU", (PlatformCUDA,), answers)())
    if importlib.util.find_spec("trl"):  # a newer one than verl asks it of
        import trl

        trl.AutoModelForCausalLMWithValueHead = type("Absent", (), {})


def exact(sampled: Any, flat: Flat) -> dict[str, torch.Tensor]:
    """The objective's gradient of each parameter, on live scores of whole groups."""
    from verl_batches import GROUP

    from conspo_study.integrations import objective_options
    from conspo_study.objective import GroupBatch, Progress, objective_of

    options = objective_options({"name": "conspo", "tau": 0.3, "margin": 0.3})
    seen = set(zip(sampled.groups, sampled.rewards, strict=True))
    contrast = {name for name, _ in seen if {(name, 0.0), (name, 1.0)} <= seen}
    rows = [row for row in range(ROWS) if sampled.groups[row] in contrast]
    rows.sort(key=lambda row: sampled.groups[row])
    live = sampled.logprobs(flat)
    logprobs_T = torch.cat([live[row] for row in rows])
    lengths, correct = [len(live[row]) for row in rows], [bool(sampled.rewards[r]) for r in rows]
    sizes = [GROUP] * len(contrast)
    batch = GroupBatch.of(logprobs_T, logprobs_T.detach(), lengths, sizes, correct)
    loss = objective_of(type(options))(batch, options, Progress(STEP - 1, STEPS)).loss
    names, parameters = zip(*flat.model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


def main(rank: int, world: int, port: str, folder: str, micro_batch: int, modes: list[str]) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=world)
    use_the_cpu()
    from verl.trainer.ppo import ray_trainer
    from verl.utils import tensordict_utils as tu
    from verl.utils.config import omega_conf_to_dataclass
    from verl.utils.dataset.dataset_utils import DatasetPadMode
    from verl.utils.skip.skip_manager import SkipManager
    from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead
    from verl.workers.utils.losses import ppo_loss
    from verl.workers.utils.padding import left_right_2_no_padding
    from verl_batches import Sampled, trainer_config

    import conspo_study.integrations.verl.plugin  # noqa: F401

    SkipManager.set_step(STEP)
    full = dict.fromkeys(("param_dtype", "reduce_dtype", "buffer_dtype"), "fp32")
    config = trainer_config(
        ROWS,
        algorithm__conspo=SETTINGS,
        trainer__total_training_steps=STEPS,
        actor_rollout_ref__model__path=folder,
        actor_rollout_ref__model__load_tokenizer=False,
        actor_rollout_ref__model__use_remove_padding=False,
        actor_rollout_ref__model__enable_gradient_checkpointing=False,
        actor_rollout_ref__model__override_config={"attn_implementation": "eager"},
        actor_rollout_ref__actor__strategy="fsdp2",
        actor_rollout_ref__actor__use_torch_compile=False,
        actor_rollout_ref__actor__fsdp_config__mixed_precision=full,
    )
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    engine = FSDPEngineWithLMHead(
        model_config=omega_conf_to_dataclass(config.actor_rollout_ref.model),
        engine_config=actor.engine,
        optimizer_config=actor.optim,
        checkpoint_config=actor.checkpoint,
    )
    engine.initialize()
    flat, sampled = Flat(folder), Sampled.of()
    truth, errors = exact(sampled, flat), {}
    order = list(range(ROWS))
    random.Random(0).shuffle(order)
    for mode in modes:
        config.actor_rollout_ref.actor.loss_agg_mode = mode
        data = ray_trainer.compute_advantage(
            sampled.data(flat), "conspo", config=config.algorithm, num_repeat=6
        )
        for key in ("advantages", "old_log_probs"):
            data.batch[key] = data.batch[key].float()
        batch = left_right_2_no_padding(data.batch[torch.tensor(order[rank::world])].clone())
        tu.assign_non_tensor(
            batch,
            global_batch_size=ROWS,
            micro_batch_size_per_gpu=micro_batch,
            use_dynamic_bsz=False,
            use_remove_padding=False,
            use_fused_kernels=False,
            calculate_entropy=False,
            temperature=1.0,
            pad_mode=DatasetPadMode.NO_PADDING,
        )
        worker = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
        with engine.train_mode():
            engine.optimizer_zero_grad()
            engine.forward_backward_batch(batch, functools.partial(ppo_loss, worker))
            found = {name: whole(p.grad) for name, p in engine.module.named_parameters()}
        assert found.keys() == truth.keys()
        wrong = sum(float((found[name] - truth[name]).square().sum()) for name in truth)
        errors[mode] = (wrong / sum(float(part.square().sum()) for part in truth.values())) ** 0.5
    print(json.dumps(errors), flush=True)
    torch.distributed.destroy_process_group()


def whole(gradient: Any) -> torch.Tensor:
    """A gradient that is divided over processes, in float64."""
    gathered = gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient
    return gathered.double()


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]), int(given[1]), given[2], given[3], int(given[4]), given[5:])
