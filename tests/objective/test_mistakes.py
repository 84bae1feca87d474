"""Mistakes planted into copies of the objectives: the comparison with the slow loops sees each."""

import importlib
import inspect
import sys
from types import ModuleType

import pytest
from objective_agreement import SETTINGS, check

PACKAGE = "conspo_study.objective"
MISTAKES = {
    "mean over rollouts, not groups": (
        "conspo",
        "conspo",
        "/ batch.totals.groups",
        "/ batch.totals.rollouts",
    ),
    "the worker's own denominator": (
        "conspo_linear",
        "conspo_linear",
        "batch.totals.groups",
        "batch.groups",
    ),
    "the wrong sign": ("conspo", "conspo", "loss = -per_group_Q", "loss = per_group_Q"),
    "tau left out": ("conspo", "conspo", "= options.tau * batch", "= batch"),
    "mean over negatives, not sum": (
        "conspo",
        "conspo",
        "batch.negative_logsumexp(centered_B / tau)",
        "batch.negative_logsumexp(centered_B / tau) - batch.negatives_Q.double().log()",
    ),
    "sum over negatives, not mean": (
        "disco",
        "disco",
        " - batch.negatives_Q.to(lse_Q.dtype).log()",
        "",
    ),
    "margin on the negatives' side": (
        "conspo",
        "conspo",
        "centered_B - margin",
        "centered_B + margin",
    ),
    "positives in the denominator": (
        "conspo",
        "conspo",
        "batch.negative_logsumexp(centered_B / tau)",
        "batch.group_sum((centered_B / tau).exp()).log()",
    ),
    "exponential before the mask": (
        "conspo",
        "conspo",
        "batch.negative_logsumexp(centered_B / tau)",
        "batch.group_sum((centered_B / tau).exp() * ~batch.correct_B).log()",
    ),
    "the other standard deviation": (
        "grpo",
        "advantages",
        "batch.sizes_Q - options.std_ddof",
        "batch.sizes_Q",
    ),
    "clip on the wrong side": ("grpo", "clipping", "torch.minimum", "torch.maximum"),
    "clips exchanged": (
        "dapo",
        "dapo",
        "(batch, advantages_B, low, high)",
        "(batch, advantages_B, high, low)",
    ),
    "token mean, not sequence mean": (
        "grpo",
        "grpo",
        "rollout_losses(batch, advantages_B, options).sum() / batch.totals.rollouts",
        "token_surrogate(batch, advantages_B, low, high).sum() / batch.totals.tokens",
    ),
    "sequence mean, not token mean": (
        "cispo",
        "aggregation",
        "loss_T.sum() / batch.totals.tokens",
        "batch.rollout_mean(loss_T).sum() / batch.totals.rollouts",
    ),
    "the longest response as the limit": (
        "dr_grpo",
        "dr_grpo",
        "* limit)",
        "* int(batch.lengths_B.max()))",
    ),
    "not divided by the number of rollouts": (
        "dr_grpo",
        "dr_grpo",
        "(batch.totals.rollouts * limit)",
        "limit",
    ),
    "half of the paper's penalty": (
        "disco",
        "kl_hinge",
        "return 2 * slope if",
        "return slope if",
    ),
    "the KL of the worker's tokens": (
        "disco",
        "kl_hinge",
        "-batch.log_ratio_T.sum() / batch.totals.tokens",
        "-batch.log_ratio_T.mean()",
    ),
    "a score clipped against its credit, too": (
        "conspo",
        "trust_region",
        "moved_B > clip_score, moved_B < -clip_score",
        "moved_B.abs() > clip_score, moved_B.abs() > clip_score",
    ),
    "a gradient dropped, the score left": (
        "conspo_linear",
        "trust_region",
        "torch.where(clipped_B, bound_B, scores_B)",
        "torch.where(clipped_B, scores_B.detach(), scores_B)",
    ),
    "clip after the mean": (
        "gmpo",
        "gmpo",
        "batch.rollout_mean(clipped_T).exp()",
        "batch.rollout_mean(d_T).clamp(-limit, limit).exp()",
    ),
    "mean of ratios, not of their logarithms": (
        "gspo",
        "gspo",
        "batch.rollout_mean(batch.log_ratio_T).exp()",
        "batch.rollout_mean(batch.ratio_T)",
    ),
    "a weight that is differentiated": (
        "cispo",
        "cispo",
        "batch.ratio_T.detach()",
        "batch.ratio_T",
    ),
    "a cap read as a distance from 1": (
        "cispo",
        "cispo",
        "options.ratio_cap)\n    loss_T",
        "1 + options.ratio_cap)\n    loss_T",
    ),
    "a gate that is not 1 on-policy": ("sapo", "sapo", "* 4 / tau_T", "* 4"),
    "the correction left out": ("sapo", "sapo", "batch.corrected(", "("),
    "a limit on moves back, too": (
        "dppo",
        "dppo",
        "return forward_T & (",
        "return (new_T != old_T) & (",
    ),
    "limits exchanged": (
        "dppo",
        "dppo",
        "full_like(distance_T, low).masked_fill(raised_T, high)",
        "full_like(distance_T, high).masked_fill(raised_T, low)",
    ),
    "the KL in the other direction": (
        "dppo",
        "dppo",
        "binary_kl)(old_T, new_T)",
        "binary_kl)(new_T, old_T)",
    ),
    "the KL of the token without the rest": (
        "dppo",
        "dppo",
        "(old_T - new_T) + rest_old_T * odds_T.log()",
        "(old_T - new_T)",
    ),
    "the others' mean, own reward included": (
        "rloo",
        "advantages",
        "batch.sizes_Q / (batch.sizes_Q - 1).double()",
        "torch.ones_like(batch.sizes_Q)",
    ),
    "a negative mean that turns signs around": (
        "maxrl",
        "advantages",
        "torch.where(silent_Q, 0.0, 1 / (mean_Q + epsilon))",
        "1 / (mean_Q + epsilon)",
    ),
    "token mean, not a mean over rollouts": (
        "reinforce",
        "aggregation",
        "batch.rollout_mean(loss_T).sum() / batch.totals.rollouts",
        "loss_T.sum() / batch.totals.tokens",
    ),
    "a penalty without its half": ("dro", "dro", "options.beta / 2", "options.beta"),
    "the mean log-ratio, not its sum": (
        "vespo",
        "vespo",
        "batch.rollout_sum(d_T)",
        "batch.rollout_mean(d_T)",
    ),
    "k and lambda exchanged": (
        "vespo",
        "vespo",
        "(lambda_B + k_B * log_w_B - lambda_B * log_w_B.exp())",
        "(k_B + lambda_B * log_w_B - k_B * log_w_B.exp())",
    ),
    "a correction outside of the sequence's ratio": (
        "vespo",
        "vespo",
        "-coefficient_B[batch.rollout_T] * batch.logprobs_T)",
        "batch.corrected(-coefficient_B[batch.rollout_T] * batch.logprobs_T))",
    ),
    "the length left out": ("luspo", "luspo", "(batch.lengths_B * loss_B)", "loss_B"),
    "clip on both signs alike": (
        "conspo_clipped_ratio",
        "conspo_clipped_ratio",
        "torch.where(correct_T, ratio_T.clamp(max=upper), ratio_T.clamp(min=lower))",
        "ratio_T.clamp(lower, upper)",
    ),
}


def copy_of(module_name, edit=lambda text: text):
    """The module made again from its edited text, unregistered."""
    source = inspect.getsource(importlib.import_module(f"{PACKAGE}.{module_name}"))
    module = ModuleType(f"{PACKAGE}.{module_name}")
    lines = [line for line in edit(source).splitlines() if not line.startswith("@register(")]
    exec(compile("\n".join(lines), module.__name__, "exec", dont_inherit=True), vars(module))
    return module


def objective_with(monkeypatch, name, module_name, edit):
    """The objective `name` from copies of its module and of the edited one that it imports."""
    edited = copy_of(module_name, edit)
    if module_name == name:
        return getattr(edited, name)
    monkeypatch.setitem(sys.modules, edited.__name__, edited)
    return getattr(copy_of(name), name)


def check_all(objective, name):
    for settings in SETTINGS[name]:
        check(objective, name, settings)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_seen(monkeypatch, mistake):
    name, module_name, right, wrong = MISTAKES[mistake]

    def edit(text):
        assert text.count(right) == 1, f"{right!r} is not in {module_name}.py exactly once"
        return text.replace(right, wrong)

    objective = objective_with(monkeypatch, name, module_name, edit)
    with pytest.raises(AssertionError, match=r"not close|not equal"):
        check_all(objective, name)


@pytest.mark.parametrize("name", sorted({name for name, *_ in MISTAKES.values()}))
def test_without_a_mistake_the_copy_passes(monkeypatch, name):
    for module_name in sorted({m for n, m, *_ in MISTAKES.values() if n == name}):
        check_all(objective_with(monkeypatch, name, module_name, lambda text: text), name)
