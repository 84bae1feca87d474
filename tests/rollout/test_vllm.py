"""vLLM itself: it samples from the trainer's weights, whatever they are, and says so exactly."""

import json
from pathlib import Path

import pytest
import ray
import torch
from engine_contract import (
    EOS,
    KINDS,
    PROMPTS,
    SAMPLING,
    SEEDS,
    TOKENIZER,
    check_distribution,
    check_endings,
    check_greedy,
    check_independence_of_the_batch,
    check_seeds_decide,
    check_text,
    logprob_error,
    logprob_terms,
    tokens_of,
)
from tiny_models import random_model
from tolerances import rounding

from conspo_study.config import RunConfig, with_overrides
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.weights import architecture_folder, named_weights
from conspo_study.rollout.engine import PolicyWeights, Sampling
from conspo_study.rollout.transformers_engine import TransformersEngine
from conspo_study.training.engines import rollout_engines

pytestmark = pytest.mark.vllm

ROOT = Path(__file__).resolve().parents[2]
GREEDY = Sampling(temperature=0.0, max_new_tokens=12)
# vLLM's attention on a CPU has no kernel for heads smaller than 32, and its Qwen2 wants them to be
# the hidden size divided by their number.
SHAPE = {"hidden_size": 128, "head_dim": 32, "initializer_range": 0.15}
MODELS = {
    f"{family} {'tied' if tied else 'untied'}": (family, tied)
    for family in ("Llama", "Qwen2")
    for tied in (True, False)
}


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        torch.set_num_threads(1)
        ray.init(address="local", num_cpus=2, log_to_driver=False)
        yield
        ray.shutdown()


class Policy:
    """A model that is trained, and the engine that samples from it."""

    def __init__(self, model):
        self.model, self.updates = model, 0
        self.weights = PolicyWeights("seed 0", lambda: self.updates, lambda: named_weights(model))

    def update(self, size=0.1):
        """Move all weights, as a step of the optimiser does."""
        generator = torch.Generator().manual_seed(self.updates)
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=size)
        self.updates += 1

    def mismatch(self, sampling):
        """Largest difference to what the trainer computes for the update."""
        groups = self.engine.generate(PROMPTS, 6, sampling, SEEDS)
        assert {r.weights_version for group in groups for r in group} == {self.updates}
        responses = [r for group in groups for r in group]
        with torch.no_grad():
            trainer = response_logprobs(
                self.model,
                [prompt for prompt in PROMPTS for _ in range(6)],
                [r.tokens for r in responses],
                sampling.temperature,
            )
        sampler = torch.tensor([p for r in responses for p in r.logprobs])
        return float((trainer - sampler).abs().max())


def started(model, folder, **settings):
    """The context of a policy with its engine."""
    config = with_overrides(
        RunConfig(),
        {"rollout.engine": "vllm", "rollout.vllm_cache_mib": 64}
        | {f"rollout.{name}": value for name, value in settings.items()},
    )
    return rollout_engines(config, folder)


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS)
def policy(request, tmp_path_factory):
    family, tied = request.param
    policy = Policy(random_model(family, tie_word_embeddings=tied, **SHAPE))
    with started(policy.model, tmp_path_factory.mktemp("engine")) as engine_of:
        policy.engine = engine_of(policy.model, TOKENIZER, policy.weights)
        yield policy


@pytest.mark.parametrize("sampling", [*KINDS.values(), GREEDY], ids=[*KINDS, "greedy"])
def test_logprobs_equal_a_plain_forward_pass(policy, sampling):
    allowed = rounding(*logprob_terms(policy.model, sampling))
    assert logprob_error(policy.model, policy.engine, sampling) < allowed


def test_logprobs_equal_the_trainers_before_and_after_updates(policy):
    for _ in range(3):
        for sampling in (SAMPLING, KINDS["cold"]):
            allowed = rounding(*logprob_terms(policy.model, sampling))
            assert policy.mismatch(sampling) < allowed
        stale = tokens_of(policy.engine.generate(PROMPTS, 1, GREEDY, SEEDS))
        policy.update()
    # The updates were large enough for old weights to be noticed.
    assert tokens_of(policy.engine.generate(PROMPTS, 1, GREEDY, SEEDS)) != stale


def test_logprobs_equal_those_of_the_transformers_engine(policy):
    own = TransformersEngine(policy.model, TOKENIZER)
    theirs = policy.engine.generate(PROMPTS, 1, GREEDY, SEEDS)
    assert tokens_of(theirs) == tokens_of(own.generate(PROMPTS, 1, GREEDY, SEEDS))
    ours = own.generate(PROMPTS, 1, GREEDY, SEEDS)
    allowed = rounding(*logprob_terms(policy.model, GREEDY))
    for (a,), (b,) in zip(ours, theirs, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=allowed)
        assert (a.text, a.status) == (b.text, b.status)


def test_a_response_does_not_depend_on_the_batch(policy):
    check_independence_of_the_batch(policy.engine, policy.engine)


def test_seeds_decide_the_responses(policy):
    check_seeds_decide(policy.engine)


def test_responses_end_at_their_first_eos_or_at_the_limit(policy):
    check_endings(policy.engine)


def test_text_is_the_response_without_special_tokens(policy):
    check_text(policy.engine)


def test_greedy_equals_generate(policy):
    check_greedy(policy.model, policy.engine)


def test_prompts_that_do_not_fit_into_one_pass_are_all_answered(policy):
    """And by the same responses as if they had come alone."""
    prompts = [[1, *(3 + (7 * i + j) % 50 for j in range(90 - i % 7))] for i in range(64)]
    groups = policy.engine.generate(prompts, 2, SAMPLING, list(range(64)))
    assert policy.engine.take_restarts() == []
    last = policy.engine.generate(prompts[-1:], 2, SAMPLING, [63])
    assert tokens_of(groups)[-1:] == tokens_of(last)


def test_two_policies_share_an_engine_and_tokens_follow_the_distribution(tmp_path):
    """Eight tokens, all of them likely enough to be counted."""
    shape = SHAPE | {"vocab_size": 8, "initializer_range": 0.05}
    policies = [Policy(random_model("Llama", seed, **shape)) for seed in (0, 1)]
    with started(policies[0].model, tmp_path) as engine_of:
        for number, policy in enumerate(policies):
            weights = PolicyWeights(f"seed {number}", lambda: 0, policy.weights.tensors)
            policy.engine = engine_of(policy.model, TOKENIZER, weights)
        for policy in (policies[0], policies[1], policies[0]):
            chi_square = check_distribution(policy.model, policy.engine, 256, 8)
            assert chi_square < 24.3  # 99.9 % quantile at 7 degrees of freedom
    assert len(list(tmp_path.glob("engine-*.log"))) == 1


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        ("model.layers.1.mlp.down_proj.weight", "sent no weights for 1 parameters .*down_proj"),
        ("model.norm.weight", "sent no weights for 1 parameters .*model.norm"),
        ("model.layers.0.self_attn.q_proj.weight", "only a part .* 1 layers .*0.self_attn.qkv"),
    ],
)
def test_weights_that_are_not_all_there_are_refused(left_out, message, tmp_path):
    policy = Policy(random_model("Llama", head_dim=32))
    whole = policy.weights.tensors
    assert left_out in dict(whole())
    incomplete = PolicyWeights(
        "seed 0", lambda: 0, lambda: [pair for pair in whole() if pair[0] != left_out]
    )
    with (
        started(policy.model, tmp_path) as engine_of,
        pytest.raises(RuntimeError, match=message),
    ):
        engine_of(policy.model, TOKENIZER, incomplete).generate(PROMPTS, 1, SAMPLING, SEEDS)


def test_a_model_whose_folder_has_sampling_defaults_is_sampled_as_asked(tmp_path, monkeypatch):
    """Models come with a top-p or a penalty for chatting, which would falsify the training."""
    policy = Policy(random_model("Llama", head_dim=32))
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path / "cache"))
    with started(policy.model, tmp_path) as engine_of:
        (architecture_folder(policy.model) / "generation_config.json").write_text(
            json.dumps(
                {"top_k": 1, "temperature": 0.1, "repetition_penalty": 5.0}
                | {"eos_token_id": [token for token in range(62) if token != EOS]}
            )
        )
        engine = engine_of(policy.model, TOKENIZER, policy.weights)
        allowed = rounding(*logprob_terms(policy.model, SAMPLING))
        assert logprob_error(policy.model, engine, SAMPLING) < allowed
        rollouts = [r for group in engine.generate(PROMPTS, 24, SAMPLING, SEEDS) for r in group]
        assert all(len(r.tokens) == 12 or r.tokens[-1] == EOS for r in rollouts)
