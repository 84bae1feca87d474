"""Every objective once more, as slowly as defined: loops over groups, rollouts and tokens.

Nothing of the package's arithmetic is used, and the published defaults are spelled out again.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import torch


@dataclass
class Response:
    """One rollout: differentiable and old log-probabilities, corrections, reward, verdict."""

    new: list
    old: list
    weights: list
    reward: float
    correct: bool

    @property
    def ratios(self):
        return [torch.exp(n - o) for n, o in zip(self.new, self.old, strict=True)]

    def tokens(self):
        return list(zip(self.new, self.ratios, self.weights, strict=True))


def groups_of(batch):
    groups, token = {}, 0
    for i, length in enumerate(batch.lengths_B.tolist()):
        places = range(token, token + length)
        response = Response(
            new=[batch.logprobs_T[t] for t in places],
            old=[float(batch.old_logprobs_T[t]) for t in places],
            weights=[
                1.0 if batch.correction_T is None else float(batch.correction_T[t]) for t in places
            ],
            reward=float(batch.rewards_B[i]),
            correct=bool(batch.correct_B[i]),
        )
        groups.setdefault(int(batch.group_B[i]), []).append(response)
        token += length
    return list(groups.values())


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def log_sum_exp(values):
    total = values[0]
    for value in values[1:]:
        total = torch.logaddexp(total, value)
    return total


def by_sign(group):
    return [r for r in group if r.correct], [r for r in group if not r.correct]


def with_advantages(batch, std_ddof=1, std_epsilon=1e-6, divide=True):
    """Pairs (response, advantage) of the whole batch, and the number of responses."""
    pairs = []
    for group in groups_of(batch):
        rewards = [response.reward for response in group]
        spread = statistics.stdev(rewards) if std_ddof else statistics.pstdev(rewards)
        scale = spread + std_epsilon if divide else 1.0
        pairs += [(r, (r.reward - statistics.fmean(rewards)) / scale) for r in group]
    return pairs, len(pairs)


def clipped(ratio, advantage, low, high):
    bounded = torch.clip(ratio, 1 - low, 1 + high)
    return -torch.min(ratio * advantage, bounded * advantage)


def grpo(batch, _, clip_low=0.2, clip_high=0.2, **std):
    pairs, count = with_advantages(batch, **std)
    return sum(
        w * clipped(rho, a, clip_low, clip_high) / len(r.new) / count
        for r, a in pairs
        for _, rho, w in r.tokens()
    )


def dapo(batch, _, clip_low=0.2, clip_high=0.28, aggregation="token_mean", **std):
    pairs, _ = with_advantages(batch, **std)
    losses, at = [], 0
    for group in groups_of(batch):
        members = pairs[at : at + len(group)]
        at += len(group)
        losses.append(
            [
                w * clipped(rho, a, clip_low, clip_high)
                for r, a in members
                for _, rho, w in r.tokens()
            ]
        )
    if aggregation == "group_token_mean":
        return mean(mean(tokens) for tokens in losses)
    return mean(loss for tokens in losses for loss in tokens)


def dr_grpo(batch, _, clip_low=0.2, clip_high=0.2, max_response_length=None):
    pairs, count = with_advantages(batch, divide=False)
    constant = max_response_length or batch.max_response_length
    return sum(
        w * clipped(rho, a, clip_low, clip_high) / constant / count
        for r, a in pairs
        for _, rho, w in r.tokens()
    )


def gmpo(batch, _, log_clip=0.4, **std):
    pairs, count = with_advantages(batch, **std)
    total = 0
    for response, advantage in pairs:
        product = 1
        for now, before in zip(response.new, response.old, strict=True):
            if advantage > 0:
                bounded = torch.clip(torch.exp(now - before), max=math.exp(log_clip))
            else:
                bounded = torch.clip(torch.exp(now - before), min=math.exp(-log_clip))
            product = product * bounded
        total = total - advantage * product ** (1 / len(response.new))
    return total / count


def gspo(batch, _, clip_low=3e-4, clip_high=4e-4, **std):
    pairs, count = with_advantages(batch, **std)
    total = 0
    for response, advantage in pairs:
        sequence = sum(response.new) - sum(response.old)
        ratio = torch.exp(sequence / len(response.new))
        total = total + clipped(ratio, advantage, clip_low, clip_high)
    return total / count


def cispo(batch, _, ratio_cap=5.0, ratio_floor=None, **std):
    pairs, _ = with_advantages(batch, **std)
    losses = []
    for response, advantage in pairs:
        for now, rho, w in response.tokens():
            weight = max(min(float(rho.detach()), ratio_cap), ratio_floor or 0.0)
            losses.append(-w * weight * advantage * now)
    return mean(losses)


def sapo(batch, _, gate_tau_positive=1.0, gate_tau_negative=1.05, **std):
    pairs, count = with_advantages(batch, **std)
    total = 0
    for response, advantage in pairs:
        tau = gate_tau_positive if advantage > 0 else gate_tau_negative
        gates = [w / (1 + torch.exp(-tau * (rho - 1))) for _, rho, w in response.tokens()]
        total = total - advantage * 4 / tau * mean(gates)
    return total / count


def moved_too_far(now, before, advantage, divergence, delta_low, delta_high):
    p, p_old = min(math.exp(now), 1.0), min(math.exp(before), 1.0)
    if divergence == "kl":
        spread = math.log((1 - p_old + 1e-8) / (1 - p + 1e-8))
        distance = p_old * (before - now) + (1 - p_old) * spread
    else:
        distance = abs(math.exp(now) - math.exp(before))
    usual = {"tv": 0.2, "kl": 0.05}[divergence]
    if advantage > 0:
        return now > before and distance > (delta_high or usual)
    return now < before and distance > (delta_low or usual)


def dppo(batch, _, divergence="tv", delta_low=None, delta_high=None, ratio_cap=20.0, **std):
    pairs, _ = with_advantages(batch, **std)
    losses = []
    for response, advantage in pairs:
        for (now, rho, w), before in zip(response.tokens(), response.old, strict=True):
            weight = min(float(rho.detach()), ratio_cap)
            if moved_too_far(
                float(now.detach()), before, advantage, divergence, delta_low, delta_high
            ):
                weight = 0.0
            losses.append(-w * weight * advantage * now)
    return mean(losses)


def token_mean_of_clipped(pairs, clip_low, clip_high):
    return mean(
        w * clipped(rho, a, clip_low, clip_high) for r, a in pairs for _, rho, w in r.tokens()
    )


def rloo(batch, _, clip_low=0.2, clip_high=0.2):
    pairs = []
    for group in groups_of(batch):
        for i, response in enumerate(group):
            others = [other.reward for j, other in enumerate(group) if j != i]
            pairs.append((response, response.reward - statistics.fmean(others)))
    return token_mean_of_clipped(pairs, clip_low, clip_high)


def maxrl(batch, _, mean_epsilon=1e-6, clip_low=0.2, clip_high=0.2):
    pairs = []
    for group in groups_of(batch):
        baseline = statistics.fmean(response.reward for response in group)
        for response in group:
            ahead = (response.reward - baseline) / (baseline + mean_epsilon)
            pairs.append((response, ahead if baseline > 0 else 0.0))
    return token_mean_of_clipped(pairs, clip_low, clip_high)


def reinforce(batch, _, scale="std", **std):
    pairs, _ = with_advantages(batch, divide=scale == "std", **std)
    return -mean(a * mean(w * now for now, _, w in r.tokens()) for r, a in pairs)


def dro(batch, _, beta, **std):
    pairs, _ = with_advantages(batch, **std)
    losses = []
    for response, advantage in pairs:
        for (now, _, w), before in zip(response.tokens(), response.old, strict=True):
            losses.append(-w * (advantage * now - beta / 2 * (now - before) ** 2))
    return mean(losses)


def vespo(
    batch,
    _,
    k_positive=2.0,
    lambda_positive=3.0,
    k_negative=3.0,
    lambda_negative=2.0,
    **std,
):
    pairs, _ = with_advantages(batch, **std)
    losses = []
    for response, advantage in pairs:
        w = 1.0
        for _, rho, correction in response.tokens():
            w *= float(rho.detach()) * correction
        k, rate = (k_positive, lambda_positive)
        if advantage < 0:
            k, rate = (k_negative, lambda_negative)
        phi = math.exp(rate) * w**k * math.exp(-rate * w)
        losses += [-phi * advantage * now for now in response.new]
    return mean(losses)


def luspo(batch, _, clip_low=2e-3, clip_high=2.5e-3, **std):
    pairs, count = with_advantages(batch, **std)
    total = 0
    for response, advantage in pairs:
        sequence = sum(response.new) - sum(response.old)
        ratio = torch.exp(sequence / len(response.new))
        total = total + len(response.new) * clipped(ratio, advantage, clip_low, clip_high)
    return total / count


def disco(
    batch,
    _,
    score="log_likelihood",
    aggregate="log_sum_exp",
    tau=10.0,
    kl_limit=1e-4,
    kl_penalty=1e3,
    penalty="code",
):
    gains, distances = [], []
    for group in groups_of(batch):
        right, wrong = (
            [mean(r.new if score == "log_likelihood" else r.ratios) for r in part]
            for part in by_sign(group)
        )
        if aggregate == "mean":
            gains.append(mean(right) - mean(wrong))
        else:
            log_mean = log_sum_exp([s / tau for s in wrong]) - math.log(len(wrong))
            gains.append(mean(right) - tau * log_mean)
        for r in group:
            distances += [before - now for now, before in zip(r.new, r.old, strict=True)]
    kl = mean(distances)
    excess = torch.clip(kl - kl_limit, min=0)
    if penalty == "code":
        return -mean(gains) + kl_penalty * float(excess.detach()) * kl
    return -mean(gains) + kl_penalty * excess**2


def infonce(batch, progress, scores, tau, margin, margin_unit, schedule, alpha):
    fraction = progress.step / (progress.steps - 1)
    target = margin * tau if margin_unit == "tau" else margin
    rise = min(fraction / alpha, 1)
    m = {
        "cosine": target / 2 * (1 - math.cos(math.pi * rise)),
        "linear": target * rise,
        "constant": target,
        "off": 0.0,
    }[schedule]
    gains = []
    for group in groups_of(batch):
        right, wrong = ([scores(r) for r in part] for part in by_sign(group))
        shares = []
        for s in right:
            own = (s - m) / tau
            shares.append(tau * (own - log_sum_exp([own, *(other / tau for other in wrong)])))
        gains.append(mean(shares))
    return -mean(gains)


def trusted_score(r, clip_score):
    """The mean log-probability, at most so far from the old one in the direction of the credit."""
    old, new = mean(r.old), mean(r.new)
    if clip_score is None:
        return new
    if r.correct:
        return torch.clip(new, max=old + clip_score)
    return torch.clip(new, min=old - clip_score)


def constraint(batch, kl_limit, kl_penalty):
    """DisCO's penalty as in the authors' code."""
    if kl_limit is None:
        return 0.0
    responses = [r for group in groups_of(batch) for r in group]
    moved = [o - n for r in responses for o, n in zip(r.old, r.new, strict=True)]
    kl = mean(moved)
    return kl_penalty * max(float(kl.detach()) - kl_limit, 0.0) * kl


def conspo(
    batch,
    progress,
    tau=10.0,
    margin=0.01,
    margin_unit="score",
    schedule="cosine",
    alpha=0.3,
    clip_score=None,
    kl_limit=None,
    kl_penalty=1e3,
):
    contrast = (margin_unit, schedule, alpha)
    loss = infonce(batch, progress, lambda r: trusted_score(r, clip_score), tau, margin, *contrast)
    return loss + constraint(batch, kl_limit, kl_penalty)


def conspo_clipped_ratio(
    batch,
    progress,
    tau=10.0,
    margin=0.01,
    margin_unit="score",
    schedule="cosine",
    alpha=0.3,
    clip_low=0.2,
    clip_high=0.2,
):
    def score(r):
        if r.correct:
            return mean(torch.clip(rho, max=1 + clip_high) for rho in r.ratios)
        return mean(torch.clip(rho, min=1 - clip_low) for rho in r.ratios)

    return infonce(batch, progress, score, tau, margin, margin_unit, schedule, alpha)


def conspo_linear(batch, _, clip_score=None, kl_limit=None, kl_penalty=1e3):
    gains = []
    for group in groups_of(batch):
        right, wrong = ([trusted_score(r, clip_score) for r in part] for part in by_sign(group))
        gains.append(mean(right) - mean(wrong))
    return -mean(gains) + constraint(batch, kl_limit, kl_penalty)
