"""The memory estimate: its arithmetic, what divides it, and that it knows what the code does."""

import json

import pytest

from conspo_study.config import with_overrides
from conspo_study.definition.presets import EMBEDDED
from conspo_study.forecast.known_models import EMBEDDED_SHAPE, Shape
from conspo_study.forecast.memory import estimate_memory
from conspo_study.forecast.shapes import read_shape
from conspo_study.text import size_text

SHAPE = {
    "hidden_size": 512,
    "intermediate_size": 1376,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 32_000,
}


@pytest.fixture
def folder(tmp_path):
    """A model folder of 1,000,000 parameters, as its headers have it."""
    (tmp_path / "config.json").write_text(json.dumps(SHAPE))
    header = json.dumps({"w": {"dtype": "F32", "shape": [1000, 1000], "data_offsets": [0, 0]}})
    data = len(header).to_bytes(8, "little") + header.encode()
    (tmp_path / "model.safetensors").write_bytes(data)
    return tmp_path


def memory(folder, seeds=1, **settings):
    names = {name.replace("__", "."): value for name, value in settings.items()}
    run = with_overrides(EMBEDDED, {"policy.model": str(folder)} | names)
    return estimate_memory(run, seeds)


def item(items, name):
    (found,) = (item.bytes for item in items if item.name == name)
    return found


def test_weights_and_optimiser_are_those_of_all_seeds_and_gradients_those_of_one(folder):
    need = memory(folder, seeds=3)
    assert item(need.standing, "weights") == 3 * 4e6
    assert item(need.standing, "AdamW") == 3 * 8e6
    assert item(need.updating, "gradients") == 4e6
    text = " ".join(need.lines())
    assert "12 MB weights = 4 B x 1 M parameters x 3 seeds" in text


def test_sharding_divides_what_stands_and_fetches_what_computes(folder):
    whole = memory(folder, train__workers=4)
    need = memory(folder, train__workers=4, train__sharding="fsdp")
    assert item(need.standing, "weights") == item(whole.standing, "weights") / 4
    assert item(need.standing, "AdamW") == item(whole.standing, "AdamW") / 4
    assert item(need.updating, "gradients") == item(whole.updating, "gradients") / 4
    assert item(need.sampling, "whole weights") == 4e6
    assert (
        item(
            memory(
                folder, train__workers=4, train__sharding="fsdp", policy__precision="bfloat16"
            ).sampling,
            "whole weights",
        )
        == 2e6
    )


def test_activations_follow_the_token_budget_up_to_what_there_is_to_score(folder):
    small, large, vast = (
        item(memory(folder, update__micro_batch_tokens=tokens).updating, "activations")
        for tokens in (1000, 4000, 10**9)
    )
    assert large == 4 * small
    assert vast == item(
        memory(folder, update__micro_batch_tokens=128 * 556).updating, "activations"
    )


def test_the_peak_is_the_more_hungry_of_sampling_and_updating(folder):
    need = memory(folder)
    stages = [sum(i.bytes for i in items) for items in (need.updating, need.sampling)]
    assert need.bytes == sum(i.bytes for i in need.standing) + max(stages)


def test_keys_and_values_are_counted_by_hand(folder):
    # 128 rows of 556 positions; 8 layers of 4 heads of 64, and 8 heads of the layer at work.
    need = memory(folder, evaluation__problems_per_set=1)
    expected = 128 * 556 * 2 * 4 * (8 * 4 + 8) * 64
    assert item(need.sampling, "keys and values") == expected


@pytest.mark.parametrize("damage", ["not JSON", "[]", "{}", '{"hidden_size": "wide"}'])
def test_a_model_of_unknown_shape_has_no_estimate(folder, damage):
    (folder / "config.json").write_text(damage)
    assert memory(folder) is None


def test_without_weights_there_is_no_estimate(folder):
    (folder / "model.safetensors").unlink()
    assert memory(folder) is None


def test_what_is_known_of_the_embedded_model_and_of_the_chunk_is_true():
    from conspo_study.policy.embedded import untrained_model

    model = untrained_model(0)
    config = model.config
    assert read_shape(EMBEDDED.policy) == EMBEDDED_SHAPE
    assert (
        Shape(
            parameters=model.num_parameters(),
            hidden=config.hidden_size,
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            intermediate=config.intermediate_size,
            vocabulary=config.vocab_size,
        )
        == EMBEDDED_SHAPE
    )
    matrices = sum(p.numel() for p in model.model.layers[0].parameters() if p.dim() == 2)
    assert EMBEDDED_SHAPE.layer_parameters == matrices


def test_the_activations_of_a_layer_are_what_autograd_keeps():
    import torch
    from tiny_models import random_model

    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 2}
    sizes |= {"head_dim": 32, "num_key_value_heads": 2, "vocab_size": 11}
    kept = {}
    for layers in (1, 3):
        model = random_model("Llama", num_hidden_layers=layers, **sizes)
        tensors = {}

        def keep(tensor, tensors=tensors):
            tensors[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            hidden = model.base_model(
                input_ids=torch.ones(4, 100, dtype=torch.long)
            ).last_hidden_state
        weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
        kept[layers] = sum(size for pointer, size in tensors.items() if pointer not in weights)
        del hidden
    norms, products = Shape(0, 64, 1, 2, 2, 32, 96, 11).activations
    estimated = 400 * 4 * (norms + products)
    assert (kept[3] - kept[1]) / 2 == pytest.approx(estimated, rel=0.15)


def test_sizes_are_for_people():
    assert [size_text(count) for count in (12, 4_000, 5.26e6, 80e9)] == [
        "12 B",
        "4 kB",
        "5.26 MB",
        "80 GB",
    ]
