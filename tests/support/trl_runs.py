"""Short runs of TRL's GRPO trainer on tiny models, and the gradients that its updates had."""

import multiprocessing
import os
import socket
from pathlib import Path

import torch
from accelerate.state import AcceleratorState
from datasets import Dataset
from exact_models import exact_model
from safetensors.torch import load_file, save_file
from tiny_models import VOCABULARY
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from conspo_study.integrations import objective_options
from conspo_study.integrations.trl import with_objective
from conspo_study.objective import GroupBatch, Progress, objective_of

PROMPTS = ["t5 t6 t7", "t8", "t9 t10", "t11 t12 t13 t14"]
PATIENCE_S = 300.0
SHARP = {"tau": 0.5, "margin": 0.3, "alpha": 1.0}
LIMIT = 1e-6
"""Relative error of a gradient. The models are float64, but their norms compute in float32."""
START = Progress(0, 1)
SETTINGS = {
    "per_device_train_batch_size": 6,
    "num_generations": 6,
    "gradient_accumulation_steps": 1,
    "max_completion_length": 8,
    "learning_rate": 0.0,
    "max_steps": 1,
    "max_grad_norm": 0.0,
    "temperature": 1.0,
    "seed": 3,
    "use_cpu": True,
    "bf16": False,
    "report_to": "none",
    "save_strategy": "no",
    "logging_steps": 1,
    "disable_tqdm": True,
    "gradient_checkpointing": False,
}


def words_tokenizer():
    """A word for each token of `random_model`."""
    words = {f"t{i}": i for i in range(3, VOCABULARY)} | {"<pad>": 0, "<s>": 1, "</s>": 2}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def is_even(completion_ids, **_):
    """Right is a response whose first token is even: half of the tokens are."""
    return [float(ids[0] % 2 == 0) for ids in completion_ids]


class Gradients(TrainerCallback):
    """The gradient of every update, summed up by then, and the weights that it was taken at."""

    def __init__(self, model):
        self.model, self.updates, self.weights = model, [], []

    def on_pre_optimizer_step(self, *_, **__):
        self.updates.append(flat_gradient(self.model))
        self.weights.append({k: v.clone() for k, v in self.model.state_dict().items()})


def flat_gradient(model):
    return torch.cat([p.grad.double().flatten() for p in model.parameters() if p.grad is not None])


def recorded(base):
    """The trainer, which keeps what each batch was before it was shuffled, and its rewards."""

    class Recorded(base):
        def _generate_and_score_completions(self, inputs):
            output = super()._generate_and_score_completions(inputs)
            self.batches = [*getattr(self, "batches", []), dict(output)]
            return output

        def _calculate_rewards(self, *args, **kwargs):
            self.rewards = super()._calculate_rewards(*args, **kwargs)
            self.verdicts = [*getattr(self, "verdicts", []), self.rewards[:, 0].tolist()]
            return self.rewards

    Recorded.__name__ = base.__name__
    return Recorded


def trained(
    trainer_class,
    folder,
    *,
    rewards=is_even,
    prompts=PROMPTS,
    eval_dataset=None,
    peft_config=None,
    **changed,
):
    """A trainer after its run, with `gradients`, `batches` and `verdicts`.

    changed: of `SETTINGS`, for TRL's configuration.
    """
    model = exact_model("Llama")
    gradients = Gradients(model)
    trainer = recorded(trainer_class)(
        model=model,
        reward_funcs=rewards,
        args=GRPOConfig(output_dir=str(folder), **{**SETTINGS, **changed}),
        train_dataset=Dataset.from_dict({"prompt": list(prompts)}),
        eval_dataset=eval_dataset,
        processing_class=words_tokenizer(),
        callbacks=[gradients],
        peft_config=peft_config,
    )
    trainer.train()
    trainer.gradients = gradients
    return trainer


def rows_of(batch):
    """(prompt, response) token ids of each row; a response without tokens that count is empty."""
    rows = []
    mask = batch["completion_mask"] * batch.get("tool_mask", 1)
    for i in range(len(mask)):
        prompt = batch["prompt_ids"][i][batch["prompt_mask"][i].bool()]
        rows.append((prompt, batch["completion_ids"][i][mask[i].bool()]))
    return rows


def row_logprobs(model, prompt, response):
    """log pi of each token of a response, without padding or neighbours."""
    if not len(response):
        return torch.zeros(0, dtype=next(model.parameters()).dtype)
    ids = torch.cat([prompt, response])[None]
    logits = model(ids).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(-1, response[:, None])[:, 0]


def house_gradient(
    weights,
    rows,
    correct,
    generations,
    name,
    settings,
    progress,
    *,
    rewards=None,
    old=None,
    limit=8,
):
    """The gradient of the objective's loss over the rows with contrast, by autograd through it all.

    old: weights of the policy that sampled; the same by default.
    """
    options = objective_options(name, **settings)
    rewards = correct if rewards is None else rewards
    read = correct if options.contrast == "verdicts" else rewards
    groups = [
        [i for i in range(start, start + generations) if len(rows[i][1])]
        for start in range(0, len(rows), generations)
    ]
    groups = [members for members in groups if len({read[i] for i in members}) > 1]
    order = [i for members in groups for i in members]
    model = exact_model("Llama")
    if old is not None:
        model.load_state_dict(old)
        with torch.no_grad():
            old_T = torch.cat([row_logprobs(model, *rows[i]) for i in order])
    model.load_state_dict(weights)
    model.zero_grad()
    logprobs_T = torch.cat([row_logprobs(model, *rows[i]) for i in order])
    batch = GroupBatch.of(
        logprobs_T,
        logprobs_T.detach() if old is None else old_T,
        [len(rows[i][1]) for i in order],
        [len(members) for members in groups],
        [bool(correct[i]) for i in order],
        rewards=[float(rewards[i]) for i in order],
        max_response_length=limit,
    )
    objective_of(type(options))(batch, options, progress).loss.backward()
    return flat_gradient(model)


def relative_error(found, expected):
    return float((found - expected).norm() / expected.norm())


def cosine(found, expected):
    return float(found @ expected / (found.norm() * expected.norm()))


def on_two_processes(folder, runs):
    """Train on two processes, with the settings and the `objective` of each run by its name.

    They are forks of this process, since a fresh one would import for most of its time. Each writes
    `rank*.safetensors` into the run's folder.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_work, args=(folder, runs, r, port)) for r in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE_S)
    assert [worker.exitcode for worker in workers] == [0, 0]


def _work(folder, runs, rank, port):
    os.environ |= {
        **{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"},
        **{"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)},
    }
    torch.set_num_threads(1)
    AcceleratorState._reset_state(reset_partial_state=True)  # of earlier runs in this process
    kept = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask")
    for name, given in runs.items():
        trainer_class = with_objective(GRPOTrainer, **given["objective"])
        settings = {key: value for key, value in given.items() if key != "objective"}
        trainer = trained(trainer_class, folder / name, **settings)
        stored = {f"gradient{i}": g for i, g in enumerate(trainer.gradients.updates)}
        for i, weights in enumerate(trainer.gradients.weights):
            stored |= {f"weights{i}/{key}": value for key, value in weights.items()}
        stored |= {key: trainer.batches[0][key].contiguous() for key in kept}
        stored["rewards"] = trainer.rewards
        save_file(stored, folder / name / f"rank{rank}.safetensors")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def of_ranks(folder, count):
    return [load_file(Path(folder) / f"rank{rank}.safetensors") for rank in range(count)]


def weights_of(stored, update):
    """The weights that an update of a process started from."""
    prefix = f"weights{update}/"
    return {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}


def error(trainer, name, settings, *, rewards=None, correct=None, old=None):
    """Of the first update, whose generation batch is the whole of it."""
    correct = trainer.rewards[:, 0].tolist() if correct is None else correct
    expected = house_gradient(
        trainer.gradients.weights[0],
        rows_of(trainer.batches[0]),
        correct,
        trainer.args.num_generations,
        name,
        settings,
        START,
        rewards=rewards,
        old=old,
        limit=trainer.args.max_completion_length,
    )
    return relative_error(trainer.gradients.updates[0], expected)
