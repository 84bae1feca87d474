"""The course of the margin over training (ConSPO, the curriculum of its section on margins)."""

from __future__ import annotations

import math

from conspo_study.config import ContrastiveOptions


def margin_at(options: ContrastiveOptions, fraction: float) -> float:
    """m_t in units of the score at training progress `fraction` (lambda_t in [0, 1]).

    With rho = min(fraction / alpha, 1): cosine gives (M/2)(1 - cos(pi rho)), linear M rho,
    constant M throughout (the paper's fixed-margin ablation), off 0.
    """
    target = options.target_margin
    rho = min(fraction / options.alpha, 1.0)
    match options.schedule:
        case "cosine":
            return target / 2 * (1 - math.cos(math.pi * rho))
        case "linear":
            return target * rho
        case "constant":
            return target
        case "off":
            return 0.0
