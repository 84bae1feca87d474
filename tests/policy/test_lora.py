"""Adapters: what is trained, what is sampled from, and what is kept on disk are the same policy."""

import weakref
from importlib.util import find_spec

import pytest
import torch
from exact_models import exact, exact_model
from safetensors.torch import load_file
from tiny_models import FAMILIES, random_model
from tolerances import assert_same, terms_of
from transformers import AutoModelForCausalLM

from conspo_study.config import ConfigError, PolicyConfig, RunConfig, with_overrides
from conspo_study.policy import lora
from conspo_study.policy.embedded import embedded_tokenizer
from conspo_study.policy.load import load_policy, restore_policy, save_policy
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.lora import (
    add_adapters,
    has_adapters,
    merged_state,
    without_adapters,
)
from conspo_study.policy.weights import named_weights
from conspo_study.rollout.engine import Sampling
from conspo_study.rollout.fused_llama import can_fuse
from conspo_study.rollout.transformers_engine import TransformersEngine

needs_peft = pytest.mark.skipif(
    find_spec("peft") is None, reason="peft is not installed: pip install 'conspo-study[lora]'"
)
CONFIG = PolicyConfig(model="org/tiny", lora_rank=3, lora_alpha=12)
PROMPTS, RESPONSES = [[1, 5, 9], [1, 7]], [[20, 21, 2], [30, 31]]
TOKENS = torch.randint(3, 60, (3, 9), generator=torch.Generator().manual_seed(0))


def adapted(family="Llama", config=CONFIG, **settings):
    """A model whose adapters have been moved away from doing nothing."""
    model = random_model(family, **settings)
    add_adapters(model, config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.15)
    return model


def plain_state(model):
    """The state of a model without adapters that computes the same."""
    return {name: tensor for name, tensor, _ in merged_state(model)}


def logits(model):
    with torch.no_grad():
        return model(TOKENS).logits


@needs_peft
@pytest.mark.parametrize("precise", [exact, lambda model: model], ids=["float64", "float32"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_merged_weights_compute_what_the_adapted_model_does(family, tied, precise):
    settings = {"tie_word_embeddings": tied, "initializer_range": 0.1}
    model = precise(adapted(family, **settings))
    plain = precise(random_model(family, **settings))
    assert (logits(model) - logits(plain)).abs().max() > 0.1
    merged = plain_state(model)
    assert {k: v.shape for k, v in merged.items()} == {
        k: v.shape for k, v in plain.state_dict().items()
    }
    before = logits(model)
    plain.load_state_dict(merged)
    assert_same(logits(plain), before, terms_of(plain, 9))
    assert torch.equal(logits(model), before), "merging leaves the model alone"


@needs_peft
def test_fresh_adapters_change_nothing_and_are_the_same_every_time():
    model, again = random_model("Llama"), random_model("Llama")
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    add_adapters(model, CONFIG)
    assert torch.equal(torch.rand(1), expected), "the caller's random state is left alone"
    torch.manual_seed(2)
    add_adapters(again, CONFIG)
    assert torch.equal(logits(model), logits(random_model("Llama")))
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not any(module.training for module in model.modules())


@needs_peft
def test_gradients_reach_all_adapters_and_nothing_else():
    model = adapted()
    response_logprobs(model, PROMPTS, RESPONSES).sum().backward()
    for name, parameter in model.named_parameters():
        is_adapter = ".lora_" in name
        assert parameter.requires_grad is is_adapter
        assert (parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)) is is_adapter
    # Two layers of seven projections, two matrices each.
    assert sum(p.requires_grad for p in model.parameters()) == 2 * 7 * 2


@needs_peft
def test_the_gradient_is_that_of_the_merged_weights():
    """d/dB of W + s B A is s (dL/dW) A^T: adapters learn from the same derivative."""
    model, plain = exact(adapted()), exact_model("Llama")
    plain.load_state_dict(plain_state(model))
    name = "model.layers.0.mlp.down_proj"
    weight = dict(plain.named_parameters())[f"{name}.weight"]
    (full,) = torch.autograd.grad(response_logprobs(plain, PROMPTS, RESPONSES).sum(), weight)
    layer = model.get_submodule(name)
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    found = torch.autograd.grad(response_logprobs(model, PROMPTS, RESPONSES).sum(), (a, b))
    scale = CONFIG.lora_alpha / CONFIG.lora_rank
    assert_same(found[0], scale * b.T @ full, terms_of(plain, 6))
    assert_same(found[1], scale * full @ a.T, terms_of(plain, 6))


@needs_peft
def test_the_engine_samples_from_the_adapted_policy_also_where_the_plain_one_is_fused():
    assert can_fuse(random_model("Llama", num_key_value_heads=4))
    model = adapted(num_key_value_heads=4)
    assert not can_fuse(model)
    engine = TransformersEngine(model, embedded_tokenizer())
    for prompt, group in zip(
        PROMPTS, engine.generate(PROMPTS, 4, Sampling(1.0, 8), [1, 2]), strict=True
    ):
        for rollout in group:
            expected = response_logprobs(model, [prompt], [rollout.tokens])
            assert_same(torch.tensor(rollout.logprobs), expected.detach(), terms_of(model, 11))


@needs_peft
def test_a_saved_adapter_is_small_names_its_model_and_restores_bit_for_bit(tmp_path):
    model = adapted()
    save_policy(model, embedded_tokenizer(), tmp_path)
    assert not list(tmp_path.glob("model*")) and not (tmp_path / "config.json").exists()
    assert '"base_model_name_or_path": "org/tiny"' in (tmp_path / "adapter_config.json").read_text()
    other = random_model("Llama")
    add_adapters(other, CONFIG)
    restore_policy(other, tmp_path)
    assert torch.equal(logits(other), logits(model))


@needs_peft
def test_peft_and_transformers_load_a_saved_adapter(tmp_path):
    base, folder = tmp_path / "base", tmp_path / "adapter"
    random_model("Llama").save_pretrained(base)
    model = adapted(config=CONFIG.model_copy(update={"model": str(base)}))
    folder.mkdir()
    save_policy(model, embedded_tokenizer(), folder)
    from peft import PeftModel

    plain = AutoModelForCausalLM.from_pretrained(base)
    for loaded in (
        PeftModel.from_pretrained(plain, folder),
        AutoModelForCausalLM.from_pretrained(folder),
    ):
        assert_same(logits(loaded), logits(model), terms_of(model, 9))


@needs_peft
def test_adapters_of_another_shape_are_refused(tmp_path):
    save_policy(adapted(), embedded_tokenizer(), tmp_path)
    other = random_model("Llama")
    add_adapters(other, CONFIG.model_copy(update={"lora_rank": 2}))
    with pytest.raises(ValueError, match="does not match"):
        restore_policy(other, tmp_path)


@needs_peft
def test_targets_choose_the_layers():
    model = random_model("Llama")
    add_adapters(model, CONFIG.model_copy(update={"lora_targets": ("q_proj", "up_proj")}))
    names = {n.split(".lora_")[0] for n, p in model.named_parameters() if p.requires_grad}
    assert {name.rpartition(".")[2] for name in names} == {"q_proj", "up_proj"}
    assert len(names) == 4


@needs_peft
@pytest.mark.parametrize("wrong", ["lm_head", "embed_tokens", "qproj"])
def test_layers_that_cannot_have_adapters_are_refused_with_those_that_can(wrong):
    config = CONFIG.model_copy(update={"lora_targets": ("q_proj", wrong)})
    with pytest.raises(ValueError, match=rf"layers called {wrong} .*down_proj, gate_proj"):
        add_adapters(random_model("Llama"), config)


def test_a_model_without_adapters_is_its_own_merger():
    model = random_model("Qwen3")
    assert not has_adapters(model)
    merged = plain_state(model)
    assert merged.keys() == model.state_dict().keys()
    assert merged["lm_head.weight"].data_ptr() == model.lm_head.weight.data_ptr()


@needs_peft
def test_weights_are_merged_one_by_one_and_all_of_them_are_sent():
    """Also where the memory of one is used again for the next."""
    model = adapted("Qwen2", tie_word_embeddings=True)
    expected = plain_state(model)
    own = {tensor.data_ptr() for tensor in model.state_dict().values()}
    names, alive = [], []
    for name, tensor in named_weights(model):
        assert torch.equal(tensor, expected[name])
        assert sum(merged() is not None for merged in alive) <= 1, f"besides {name}"
        names.append(name)
        if tensor.data_ptr() not in own:
            alive.append(weakref.ref(tensor))
        del tensor
    assert len(alive) == 2 * 7  # linear layers
    assert names == [name for name in expected if name != "lm_head.weight"]


@needs_peft
def test_without_its_adapters_a_model_is_what_it_was_before_them():
    model, base = adapted(), random_model("Llama")
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    moved = logits(model)
    with pytest.raises(RuntimeError, match="stop"), without_adapters(model):
        assert torch.equal(logits(model), logits(base))
        raise RuntimeError("stop")
    assert torch.equal(logits(model), moved) and not torch.equal(moved, logits(base))
    assert {name for name, p in model.named_parameters() if p.requires_grad} == trained
    with without_adapters(base):
        assert torch.equal(logits(base), base(TOKENS).logits)


def test_without_peft_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setattr("conspo_study.extras.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'conspo-study\[lora\]'"):
        add_adapters(random_model("Llama"), CONFIG)


@pytest.mark.parametrize("targets", [[], ["all-linear", "q_proj"]])
def test_targets_that_mean_nothing_are_a_configuration_error(targets):
    with pytest.raises(ConfigError, match="must name layers, or be all-linear alone"):
        with_overrides(RunConfig(), {"policy.lora_targets": targets})


@needs_peft
def test_load_policy_adds_them(tmp_path):
    random_model("Llama").save_pretrained(tmp_path)
    embedded_tokenizer().save_pretrained(tmp_path)
    model, _ = load_policy(CONFIG.model_copy(update={"gradient_checkpointing": True}), tmp_path)
    assert has_adapters(model)
    response_logprobs(model, PROMPTS, RESPONSES).sum().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    tensors = sum(p.numel() for p in model.parameters() if p.requires_grad)
    out = tmp_path / "out"
    out.mkdir()
    save_policy(model, embedded_tokenizer(), out)
    assert sum(tensor.numel() for tensor in load_file(out / lora.ADAPTER).values()) == tensors
