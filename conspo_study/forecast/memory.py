"""Memory that one worker of a trial needs, with its arithmetic, before anything is loaded.

An upper estimate: prompts and responses are as long as their limits allow. The seeds of a trial
advance together, so the weights and the optimiser state of all of them are in memory at once;
gradients, activations and caches only those of one seed at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

from conspo_study.config import RunConfig
from conspo_study.forecast.costs import parameter_count, trained_parameters
from conspo_study.forecast.known_models import EMBEDDED_SHAPE, KNOWN_MODELS, Shape
from conspo_study.policy.logits import CHUNK_ELEMENTS
from conspo_study.policy.models import EMBEDDED, local_folder
from conspo_study.text import size_text
from conspo_study.untrusted import read_object

CHUNK_COPIES = 4
"""Tensors of CHUNK_ELEMENTS at the peak. For a head with adapters or a bias: logits, their scaled
copy, log-softmax and gradient. For a plain head: logits, probabilities, and their casts."""
SAMPLER_COPIES = 4
"""Tensors of the logits of one sampled token: logits, scaled, probabilities and their sums."""
ON_GPU, IN_MEMORY = "GPU memory", "memory"
_MOST_CONFIG = 16 << 20
PROCESS_BYTES = 500_000_000
"""Memory of a worker without a policy: Python, PyTorch, transformers and Ray, or a CUDA
context."""


@dataclass(frozen=True, slots=True)
class Item:
    """One use of memory."""

    name: str
    bytes: float
    arithmetic: str


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a worker: what is always there, and the larger of its two activities."""

    where: str
    """`GPU memory` or `memory`."""
    standing: tuple[Item, ...]
    updating: tuple[Item, ...]
    sampling: tuple[Item, ...]

    @property
    def bytes(self) -> float:
        """Total at the peak."""
        return _sum(self.standing) + max(_sum(self.updating), _sum(self.sampling))

    def lines(self) -> list[str]:
        """The total and its arithmetic, for people."""
        lines = [
            f"about {size_text(self.bytes)} of {self.where}: {size_text(_sum(self.standing))} all "
            f"the time, {size_text(_sum(self.updating))} more in an update, "
            f"{size_text(_sum(self.sampling))} more while sampling"
        ]
        for when, items in (
            ("", self.standing),
            ("update: ", self.updating),
            ("sampling: ", self.sampling),
        ):
            lines += [f"{when}{size_text(i.bytes)} {i.name} = {i.arithmetic}" for i in items]
        return lines


def estimate_memory(run: RunConfig, seeds: int) -> Memory | None:
    """Memory of each worker of a trial; None if the model's sizes cannot be read."""
    shape = read_shape(run)
    if shape is None:
        return None
    shards = run.train.workers if run.train.sharding == "fsdp" else 1
    over = f" / {shards} shards" if shards > 1 else ""
    count = f"{shape.parameters / 1e6:,.4g} M parameters"
    trained = trained_parameters(run.policy) or shape.parameters
    learned = f"{trained / 1e6:,.4g} M trained"
    return Memory(
        ON_GPU if run.train.gpus_per_worker else IN_MEMORY,
        (
            Item("process", PROCESS_BYTES, "without a policy"),
            Item(
                "weights",
                4 * shape.parameters * seeds / shards,
                f"4 B x {count} x {seeds} seeds{over}",
            ),
            Item("AdamW", 8 * trained * seeds / shards, f"8 B x {learned} x {seeds} seeds{over}"),
        ),
        (
            Item("gradients", 4 * trained / shards, f"4 B x {learned}{over}"),
            *_updating(run, shape, shards, f"{count}{over}"),
        ),
        tuple(_sampling(run, shape, shards, count)),
    )


def _updating(run: RunConfig, shape: Shape, shards: int, count: str) -> list[Item]:
    width = 2 if run.policy.precision == "bfloat16" else 4
    longest = run.data.max_prompt_tokens + run.rollout.max_new_tokens
    rollouts = run.rollout.prompts_per_step // run.train.workers * run.rollout.group_size
    tokens = min(max(run.update.micro_batch_tokens, longest), rollouts * longest)
    norms, products = shape.activations
    # In bfloat16 the norms keep their float32 input and output, and cast what they pass on.
    each = 4 * norms + 4 * products if width == 4 else 10 * norms // 3 + 2 * products
    table = shape.vocabulary * shape.hidden
    chunk = min(CHUNK_ELEMENTS, tokens * shape.vocabulary)
    activations = Item(
        "activations",
        tokens * shape.layers * each,
        f"{tokens:,} tokens x {shape.layers} layers x {each:,} B",
    )
    if run.policy.gradient_checkpointing:
        kept = 4 * shape.hidden
        activations = Item(
            "activations",
            tokens * (shape.layers * kept + each),
            f"{tokens:,} tokens x ({shape.layers} layers x {kept:,} B + {each:,} B of one)",
        )
    items = [
        activations,
        Item(
            "logits",
            CHUNK_COPIES * 4 * chunk,
            f"{CHUNK_COPIES} x 4 B x {chunk / 1e6:,.4g} M of a chunk",
        ),
        Item(
            "embedding gradients in passing",
            2 * 4 * table,
            f"2 x 4 B x {shape.vocabulary:,} tokens x {shape.hidden:,}",
        ),
    ]
    if shards > 1:
        fetched = 2 * table + 2 * shape.layer_parameters
        items.append(
            Item(
                "fetched weights and their gradients",
                (width + 4) * fetched,
                f"{width + 4} B x {fetched / 1e6:,.4g} M of two layers, embedding and head",
            )
        )
    elif width == 2:
        items.append(Item("cast weights", 2 * shape.parameters, f"2 B x {count}"))
    return items


def _sampling(run: RunConfig, shape: Shape, shards: int, count: str) -> list[Item]:
    width = 2 if run.policy.precision == "bfloat16" else 4
    if shards > 1:
        weights = [Item("whole weights", width * shape.parameters, f"{width} B x {count}")]
    elif width == 2:
        weights = [Item("cast weights", 2 * shape.parameters, f"2 B x {count}")]
    else:
        weights = []
    if run.rollout.engine == "vllm":  # its engines are processes, and their memory is their own
        return weights if shards > 1 else []
    rollout, tested, workers = run.rollout, run.evaluation, run.train.workers
    sets = (
        (rollout.prompts_per_step // workers, rollout.group_size, rollout.max_new_tokens),
        (-(-tested.problems_per_set // workers), tested.samples, tested.max_new_tokens),
    )
    rows, positions = max(
        (
            min(prompts * n, max(1, rollout.batch_rows // n) * n, rollout.batch_rows),
            run.data.max_prompt_tokens + limit,
        )
        for prompts, n, limit in sets
    )
    # Attention repeats the keys and values of one layer for all of its heads.
    heads = shape.layers * shape.kv_heads + shape.heads
    each = 2 * width * heads * shape.head_dim
    return [
        Item(
            "keys and values",
            rows * positions * each,
            f"{rows:,} rows x {positions:,} positions x {each:,} B",
        ),
        Item(
            "logits",
            SAMPLER_COPIES * 4 * rows * shape.vocabulary,
            f"{SAMPLER_COPIES} x 4 B x {rows:,} rows x {shape.vocabulary:,} tokens",
        ),
        *weights,
    ]


def read_shape(run: RunConfig) -> Shape | None:
    """Sizes of the run's model, from its folder's config.json and the headers of its weights; None
    if they cannot be read."""
    if run.policy.model == EMBEDDED:
        return EMBEDDED_SHAPE
    if run.policy.model in KNOWN_MODELS:
        return KNOWN_MODELS[run.policy.model]
    parameters, folder = parameter_count(run.policy), local_folder(run.policy)
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


def _sum(items: tuple[Item, ...]) -> float:
    return sum(item.bytes for item in items)
