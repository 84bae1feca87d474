"""Micro-batching and data parallelism change time and memory, never the gradient."""

from functools import partial

import pytest
import torch
from exact_models import exact_model
from thread_world import ThreadWorld
from tolerances import assert_same, terms_of

from conspo_study.config import ConSPOOptions, GRPOOptions
from conspo_study.objective import (
    GroupBatch,
    ObjectiveOutput,
    Progress,
    objective_named,
    token_weights,
)
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.packed_attention import enable_packing
from conspo_study.update.gradient import MicroBatchedPolicy
from conspo_study.update.micro_batches import Budget, plan_micro_batches

PROMPTS = [(3, 4, 5)] * 4 + [(6, 7)] * 4
RESPONSES = [(1, 2), (3,), (4, 5, 6, 7, 8), (9, 1), (2, 2, 2), (5,), (6, 7, 8, 9), (1, 1)]
CORRECT = [True, False, False, True, False, True, False, False]
OBJECTIVES = {"conspo": ConSPOOptions(tau=0.3, margin=0.5), "grpo": GRPOOptions()}
TERMS = terms_of(exact_model("Llama"), sum(map(len, RESPONSES)))


def batch_of(logprobs_T):
    lengths = [len(response) for response in RESPONSES]
    return GroupBatch.of(logprobs_T, logprobs_T.detach() - 0.1, lengths, [4, 4], CORRECT)


def weights_of(name, logprobs_T):
    objective, options = objective_named(name), OBJECTIVES[name]
    return token_weights(batch_of(logprobs_T), objective, options, Progress(1, 2)).weights_T


def gradient(name, budget, packed=False):
    model = exact_model("Llama")
    if packed:
        enable_packing(model)

    policy = MicroBatchedPolicy(
        partial(response_logprobs, model), model.parameters(), Budget(budget, packed)
    )
    scores = policy.score(PROMPTS, RESPONSES)
    policy.backward(scores, weights_of(name, scores.logprobs_T))
    return torch.cat([p.grad.reshape(-1) for p in model.parameters()])


class SmallMachine:
    """Scores with a model, and runs out of memory where there is too little for a micro-batch."""

    def __init__(self, largest_forward=10_000, largest_backward=10_000):
        self.model = exact_model("Llama")
        self.parameters = list(self.model.parameters())
        self.forward, self.backward = largest_forward, largest_backward

    def score(self, prompts, responses):
        longest = max(len(p) + len(r) for p, r in zip(prompts, responses, strict=True))
        tokens = len(prompts) * longest
        if tokens > self.forward:
            raise torch.OutOfMemoryError("CUDA out of memory")
        scores = response_logprobs(self.model, prompts, responses)
        if scores.requires_grad and tokens > self.backward:
            # Met when some weights have their gradient already.
            first = self.model.model.layers[0].input_layernorm.weight
            self.hook = first.register_hook(self.run_out)
        return scores

    def run_out(self, _):
        self.hook.remove()
        raise torch.OutOfMemoryError("CUDA out of memory")

    def policy(self, budget, world=None):
        return MicroBatchedPolicy(self.score, self.parameters, budget, world)

    def gradient(self, budget):
        policy = self.policy(budget)
        scores = policy.score(PROMPTS, RESPONSES)
        policy.backward(scores, weights_of("grpo", scores.logprobs_T))
        return torch.cat([p.grad.reshape(-1) for p in self.parameters])


@pytest.mark.parametrize("limits", [(20, 10_000), (10_000, 20), (40, 20)])
@pytest.mark.parametrize("tokens", [40, 10_000])
def test_out_of_memory_halves_the_budget_once_and_the_gradient_stays(limits, tokens):
    machine, budget = SmallMachine(*limits), Budget(tokens)
    if tokens == 10_000:  # half of it does not help either
        with pytest.raises(torch.OutOfMemoryError):
            machine.gradient(budget)
        return
    gradient = machine.gradient(budget)
    assert budget == Budget(20, halved=True)
    assert_same(gradient, direct_gradient("grpo"), TERMS)
    machine.forward = 10
    with pytest.raises(torch.OutOfMemoryError):
        machine.gradient(budget)


def test_scoring_survives_running_out_of_memory_once():
    machine, budget = SmallMachine(20), Budget(40)
    scores_T = machine.policy(budget).score_without_graph(PROMPTS, RESPONSES)
    assert budget.halved
    expected_T = SmallMachine().policy(Budget(40)).score_without_graph(PROMPTS, RESPONSES)
    assert_same(scores_T, expected_T, TERMS)


def test_workers_that_share_a_model_do_not_repeat_what_others_wait_for():
    world = ThreadWorld(0, 1, sharded=True)
    with pytest.raises(torch.OutOfMemoryError):
        SmallMachine(20).policy(Budget(40), world).score_without_graph(PROMPTS, RESPONSES)


def direct_gradient(name):
    model = exact_model("Llama")
    logprobs = response_logprobs(model, PROMPTS, RESPONSES)
    objective_named(name)(batch_of(logprobs), OBJECTIVES[name], Progress(1, 2)).loss.backward()
    return torch.cat([p.grad.reshape(-1) for p in model.parameters()])


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("budget", [1, 9, 20, 10_000])
@pytest.mark.parametrize("packed", [False, True])
def test_the_gradient_is_that_of_the_whole_loss_for_any_budget(name, budget, packed):
    assert_same(gradient(name, budget, packed), direct_gradient(name), TERMS)


def test_a_planted_per_micro_batch_mean_would_be_noticed():
    wrong = gradient("conspo", 1) * 2
    assert not torch.allclose(wrong, direct_gradient("conspo"), rtol=1e-5)


def test_token_weights_leave_no_graph_behind():
    def squares(batch, options, progress):
        return ObjectiveOutput((batch.logprobs_T**2).sum(), {}, batch.logprobs_T)

    logprobs_T = torch.tensor([-1.0, -2.0], requires_grad=True)
    batch = GroupBatch.of(logprobs_T * 1, logprobs_T, [1, 1], [2], [True, False])
    weights = token_weights(batch, squares, None, Progress(0, 1))
    assert (weights.loss, weights.weights_T.tolist()) == (5.0, [-2.0, -4.0])
    assert logprobs_T.grad is None
    assert not weights.weights_T.requires_grad and not weights.advantages_B.requires_grad


def test_graphs_are_kept_only_where_everything_fits_and_are_used_once():
    model = exact_model("Llama")
    logprobs_of, parameters = partial(response_logprobs, model), list(model.parameters())
    small = MicroBatchedPolicy(logprobs_of, parameters, Budget(20)).score(PROMPTS, RESPONSES)
    assert small.graphs == [] and not small.logprobs_T.requires_grad
    large = MicroBatchedPolicy(logprobs_of, parameters, Budget(10_000))
    scores = large.score(PROMPTS, RESPONSES)
    assert len(scores.graphs) == len(RESPONSES) and not scores.logprobs_T.requires_grad
    for _ in range(2):  # the second time the responses are scored again
        large.backward(scores, weights_of("grpo", scores.logprobs_T))
        assert scores.graphs == []
        assert_same(
            torch.cat([p.grad.reshape(-1) for p in parameters]), direct_gradient("grpo"), TERMS
        )


def test_micro_batches_cover_every_row_once_within_the_budget():
    lengths = [50, 3, 17, 17, 4, 90, 33, 8, 120]
    rows = [[0] * length for length in lengths]
    plan = plan_micro_batches([[]] * len(rows), rows, Budget(100))
    assert sorted(index for batch in plan.batches for index in batch) == list(range(len(lengths)))
    costs = [len(batch) * max(lengths[i] for i in batch) for batch in plan.batches]
    assert all(
        cost <= 100 or len(batch) == 1 for cost, batch in zip(costs, plan.batches, strict=True)
    )
    assert plan.tokens == sum(costs)


def test_a_packed_prompt_counts_once_and_its_copies_a_quarter():
    prompts = [[1] * 8] * 4 + [[2] * 8] * 4
    responses = [[3] * 10] * 8
    whole = plan_micro_batches(prompts, responses, Budget(1000, packed=True))
    assert whole.batches == [list(range(8))]
    assert whole.tokens == 2 * (8 + 3 * 2) + 80
    cut = plan_micro_batches(prompts, responses, Budget(54, packed=True))
    assert cut.batches == [[0, 1, 2, 3], [4, 5, 6, 7]]
    split = plan_micro_batches(prompts, responses, Budget(30, packed=True))
    assert split.batches == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert split.tokens == 4 * (8 + 2 + 20)
    assert len(plan_micro_batches(prompts, responses, Budget(1, packed=True)).batches) == 8
