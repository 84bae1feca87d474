"""The memory estimate: its arithmetic, what divides it, and that it knows what the code does."""

import json
import weakref

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


def names(settings):
    return {name.replace("__", "."): value for name, value in settings.items()}


def memory(folder, seeds=1, **settings):
    run = with_overrides(EMBEDDED, {"policy.model": str(folder)} | names(settings))
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


def test_a_reference_policy_is_one_copy_for_all_seeds_and_none_beside_adapters(folder):
    need = memory(folder, seeds=3, update__reference_kl=0.1)
    assert item(need.standing, "reference policy") == 4e6
    assert need.bytes == memory(folder, seeds=3).bytes + 4e6
    split = memory(folder, 3, update__reference_kl=0.1, train__workers=2, train__sharding="fsdp")
    assert item(split.standing, "reference policy") == 2e6
    adapted = memory(folder, update__reference_kl=0.1, policy__lora_rank=4)
    assert adapted.bytes == memory(folder, policy__lora_rank=4).bytes


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


def test_evaluations_are_counted_as_they_are_drawn(folder):
    # 30 problems x 32 samples, at most 512 rows at once, of 512 + 44 positions; 128 in training.
    changed = {"evaluation__sets": ("aime24", "gsm8k"), "evaluation__samples": 1}
    need = memory(folder, evaluation__samples_of={"aime24": 32}, **changed)
    assert item(need.sampling, "keys and values") == 512 * 556 * 2 * 4 * (8 * 4 + 8) * 64
    assert item(need.sampling, "logits") == 4 * 4 * 512 * 32_000
    few = memory(folder, evaluation__samples_of={"aime24": 32}, rollout__batch_rows=96, **changed)
    assert item(few.sampling, "keys and values") == 96 * 556 * 2 * 4 * (8 * 4 + 8) * 64
    assert "(aime24)" in next(i.arithmetic for i in need.sampling if i.name == "keys and values")


def test_a_long_evaluation_can_need_more_than_many_short_rows(folder):
    need = memory(folder, evaluation__problems_per_set=1, evaluation__max_new_tokens=9_000)
    # 9 rows, sampled and greedy at different times: 8 of 9,512 positions beat 128 of 556.
    assert item(need.sampling, "keys and values") == 8 * 9_512 * 2 * 4 * (8 * 4 + 8) * 64


@pytest.mark.parametrize("family", ["Llama", "Qwen2", "Qwen3"])
def test_the_cache_has_the_types_that_are_counted(family):
    import torch
    from tiny_models import random_model

    from conspo_study.rollout.decoder import ModelDecoder

    for lower in (True, False):
        decoder = ModelDecoder(random_model(family), 8, lower)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=lower):
            decoder.read([[3, 4, 5], [3, 4, 5]])
            decoder.step(torch.tensor([6, 7]))
        (layer, *_) = decoder._cache.layers
        assert layer.keys.itemsize == layer.values.itemsize == (2 if lower else 4)


GPU = {"train__gpus_per_worker": 1}
COLOCATED = {**GPU, "rollout__engine": "vllm", "rollout__vllm_colocated": True}


def test_an_engine_on_the_worker_s_gpu_takes_its_fraction_of_it(folder):
    run = with_overrides(EMBEDDED, {"policy.model": str(folder)} | names(COLOCATED))
    share = with_overrides(run, {"rollout.vllm_gpu_memory": 0.4})
    need = estimate_memory(share, 1, gpu_bytes=80 * 10**9)
    assert item(need.sampling, "engine") == 32e9
    assert need.bytes == 5e8 + 12e6 + 32e9
    for asleep in (need.updating, need.stepping, need.sending):
        assert item(asleep, "sleeping engine") == 2.5e9
    unknown = estimate_memory(share, 1)
    assert item(unknown.sampling, "engine") == 0
    assert "whose size is unknown: name it by --gpu-memory GIB" in " ".join(unknown.lines())
    own = {"rollout.vllm_colocated": False, "rollout.vllm_gpus": 1}
    apart = estimate_memory(with_overrides(share, own), 1, gpu_bytes=80 * 10**9)
    assert apart.sampling == () and not [i for i in apart.sending if "engine" in i.name]


def test_an_engine_is_sent_copies_of_weights_and_merged_adapters():
    settings = {
        "policy.model": "Qwen/Qwen2.5-0.5B-Instruct",
        "policy.lora_rank": 16,
        "rollout.vllm_dtype": "bfloat16",
        **names(COLOCATED),
    }
    need = estimate_memory(with_overrides(EMBEDDED, settings), 2, 24 * 2**30)
    # One by one; the largest matrix is 4864 x 896.
    assert item(need.sending, "merged weights") == 2 * 4 * 4864 * 896
    assert item(need.sending, "copies of weights") == 2 * 494_032_768
    assert item(need.sending, "the engine's weights") == 2 * 494_032_768
    # Not downloaded, and yet that of adapters: rank x (rows + columns) of each matrix.
    rank = 16 * 24 * (2 * (896 + 896) + 2 * (128 + 896) + 3 * (4864 + 896))
    assert item(need.standing, "weights") == 2 * 4 * 494_032_768
    assert item(need.standing, "adapters") == 2 * 4 * rank
    assert item(need.standing, "AdamW") == 2 * 8 * rank
    assert item(need.updating, "gradients") == 4 * rank
    assert not [i for i in need.updating if "embedding" in i.name]
    whole = with_overrides(EMBEDDED, settings | {"policy.lora_rank": 0})
    more = estimate_memory(whole, 2, 24 * 2**30)
    assert item(more.updating, "embedding gradients in passing") == 2 * 4 * 151_936 * 896
    assert not [i for i in more.sending if i.name == "merged weights"]


def test_adapters_are_merged_one_by_one_as_is_counted():
    from tiny_models import random_model

    from conspo_study.config import PolicyConfig
    from conspo_study.policy.lora import add_adapters
    from conspo_study.policy.weights import named_weights

    model = random_model("Llama")
    add_adapters(model, PolicyConfig(lora_rank=2))
    own = {weight.data_ptr() for weight in model.state_dict().values()}
    alive, most = [], 0
    for _, tensor in named_weights(model):
        if tensor.data_ptr() not in own:
            alive.append(weakref.ref(tensor))
        del tensor
        held = [kept for kept in (ref() for ref in alive) if kept is not None]
        most = max(most, sum(kept.nbytes for kept in held))
        del held
    largest = max(w.nbytes for n, w in model.named_parameters() if "layers" in n)
    assert alive and most <= 2 * largest


def test_an_optimiser_step_takes_the_square_roots_of_all_weights_on_a_gpu_alone(folder):
    assert item(
        memory(folder, **GPU).stepping, "square roots of AdamW, of all weights at once"
    ) == (4e6)
    assert [i.name for i in memory(folder).stepping] == ["gradients"]


def test_scores_that_no_kernel_avoids_grow_with_the_square_of_the_length(folder):
    def scores(**settings):
        found = memory(folder, update__micro_batch_tokens=4096, **settings).updating
        return sum(i.bytes for i in found if i.name == "attention scores")

    assert scores() == 0, "CPUs have a kernel for grouped keys in float32"
    assert scores(**GPU, policy__precision="bfloat16") == 0
    # 4,096 tokens in sequences of 556, of 8 heads; kept by 8 layers, and 4 more of one at work.
    assert scores(**GPU) == 4 * 12 * 8 * 4096 * 556
    assert scores(**GPU, policy__gradient_checkpointing=True) == 4 * 4 * 8 * 4096 * 556
    assert scores(policy__attention="eager") == 4 * 12 * 8 * 4096 * 556
    twice = {"data__max_prompt_tokens": 600, "rollout__max_new_tokens": 512}
    assert scores(**GPU, **twice) == 4 * 12 * 8 * 4096 * 1112
    config = SHAPE | {"num_key_value_heads": 8}
    (folder / "config.json").write_text(json.dumps(config))
    assert scores(**GPU) == 0, "without grouped keys a kernel applies"


def test_prompts_that_are_read_together_have_scores_too(folder):
    settings = {**GPU, "evaluation__problems_per_set": 1}
    # Eight prompts of up to 512 tokens, 8 heads, four copies.
    found = item(memory(folder, **settings).sampling, "attention scores of the prompts")
    assert found == 4 * 4 * 8 * 8 * 512**2
    lower = memory(folder, **settings, policy__precision="bfloat16")
    assert not [i for i in lower.sampling if "scores" in i.name]


def test_main_memory_beside_a_gpu_is_that_of_loading(folder):
    need = memory(folder, **GPU)
    assert need.host_bytes == 5e8 + 4e6 and need.where == "GPU memory"
    assert need.host_lines()[0] == "about 504 MB of main memory beside the GPU"
    assert memory(folder, **COLOCATED).host_bytes == 5e8 + 4e6 + 4e9
    assert memory(folder).host == () and memory(folder).host_lines() == []


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
