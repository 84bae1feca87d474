"""Settings under which every objective is tested, and its comparison with the slow version."""

from __future__ import annotations

import slow_objectives as slow
import torch
from objective_batches import SHAPES, gradient, random_batch, select

from conspo_study.config.objectives import OPTIONS
from conspo_study.objective import GroupBatch, Objective, Progress

PROGRESS = Progress(step=4, steps=21)  # 0.2: inside every margin warm-up below
SETTINGS = {
    "conspo": [
        {},
        {"tau": 0.1, "margin": 0.5},
        {"tau": 1.0, "margin": 0.3, "margin_unit": "tau", "schedule": "linear"},
        {"tau": 0.05, "margin": 0.2, "schedule": "constant"},
        {"tau": 0.5, "schedule": "off"},
        {"tau": 0.3, "margin": 0.2, "clip_score": 0.1},
        {"tau": 0.3, "clip_score": 0.05, "kl_limit": 0.02, "kl_penalty": 3.0},
    ],
    "conspo_linear": [{}, {"clip_score": 0.1, "kl_limit": 0.0}],
    "conspo_clipped_ratio": [
        {},
        {"tau": 0.1, "margin": 0.5, "alpha": 0.25, "clip_low": 0.3, "clip_high": 0.1},
    ],
    "grpo": [{}, {"clip_low": 0.1, "clip_high": 0.5}, {"std_ddof": 0, "std_epsilon": 0.01}],
    "dapo": [{}, {"aggregation": "group_token_mean"}, {"clip_high": 0.05, "std_ddof": 0}],
    "dr_grpo": [{}, {"max_response_length": 100}],
    "disco": [
        {},
        {"penalty": "paper"},
        {"tau": 0.5, "kl_limit": 0.02, "kl_penalty": 3.0},
        {"score": "ratio", "tau": 1.0, "penalty": "paper"},
        {"aggregate": "mean", "kl_penalty": 0.0},
        {"aggregate": "mean", "score": "ratio", "kl_penalty": 2.0},
    ],
    "gmpo": [{}, {"log_clip": 0.1, "std_ddof": 0}],
    "gspo": [{}, {"clip_low": 0.1, "clip_high": 0.05}],
    "cispo": [{}, {"ratio_cap": 1.2}, {"ratio_cap": 1.1, "ratio_floor": 0.9}],
    "sapo": [{}, {"gate_tau_positive": 3.0, "gate_tau_negative": 0.5}],
    "dppo": [
        {},
        {"divergence": "kl"},
        {"delta_low": 0.05, "delta_high": 0.02, "ratio_cap": 1.1},
        {"divergence": "kl", "delta_low": 0.002, "delta_high": 0.01, "std_ddof": 0},
    ],
    "rloo": [{}, {"clip_low": 0.1, "clip_high": 0.05}],
    "maxrl": [{}, {"mean_epsilon": 0.1, "clip_low": 0.1, "clip_high": 0.05}],
    "reinforce": [{}, {"scale": "none"}, {"std_ddof": 0, "std_epsilon": 0.01}],
    "dro": [{"beta": 0.05}, {"beta": 2.0}],
    "vespo": [
        {},
        {"k_positive": 0.5, "lambda_positive": 1.0, "k_negative": 0.1, "lambda_negative": 0.2},
    ],
    "luspo": [{}, {"clip_low": 0.1, "clip_high": 0.05}],
}
TOKEN_SUMS = {name for name in SETTINGS if OPTIONS[name].corrects_tokens} - {"vespo"}
"""Objectives whose loss is a sum over tokens, each of which a correction can weigh."""
CASES = [(name, settings) for name, several in SETTINGS.items() for settings in several]
IDS = [f"{name}-{number}" for name, several in SETTINGS.items() for number in range(len(several))]


def batches() -> list[GroupBatch]:
    """Every shape, on both sides of DisCO's limit, one with all that a caller may add, and one of
    graded rewards whose means have either sign."""
    plain = [random_batch(shape, drift=drift) for shape in SHAPES for drift in (-0.2, 0.2)]
    generator = torch.Generator().manual_seed(1)
    extras = {
        "rewards": torch.rand(8, generator=generator).tolist(),
        "correction_T": 2 * torch.rand(35, generator=generator, dtype=torch.float64),
    }
    below_zero = {"rewards": [-0.5, 0.3, -0.9, 0.1, -0.2, 0.8, -0.1, 0.2]}
    return [*plain, random_batch("ragged", **extras), random_batch("ragged", **below_zero)]


def check(objective: Objective, name: str, settings: dict[str, object]) -> None:
    """Loss and gradient are those of the slow version, also summed over two workers.

    Raises AssertionError where they are not.
    """
    options = OPTIONS[name](**settings)
    for batch in batches():
        expected = getattr(slow, name)(batch, PROGRESS, **settings)
        expected_T = gradient(expected, batch)
        loss = objective(batch, options, PROGRESS).loss
        _assert_close(loss, expected)
        _assert_close(gradient(loss, batch), expected_T)
        if batch.groups > 1:
            loss, grad_T = 0.0, torch.zeros_like(expected_T)
            for group in range(batch.groups):
                part, tokens_T = select(batch, [group])
                own = objective(part, options, PROGRESS).loss
                loss += float(own.detach())
                grad_T[tokens_T] = gradient(own, part)
            _assert_close(torch.tensor(loss, dtype=torch.float64), expected)
            _assert_close(grad_T, expected_T)


def _assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual.detach(), expected.detach(), rtol=1e-10, atol=1e-12)
