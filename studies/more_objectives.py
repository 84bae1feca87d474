"""Objectives of other trainers beside GRPO, each at its best of three learning rates.

    python studies/more_objectives.py
    conspo map results/more_objectives --minus GRPO --out map     differences to GRPO

The search (3 seeds) chooses each objective's learning rate; that choice runs again on 5 fresh seeds
and 1,000 test problems, and only these values count. Four optimiser steps per rollout batch.
"""

from conspo_study import EQUAL_CONDITIONS, Anchor, Confirmation, RunConfig, Study, Value, main

NAME, RATE = "objective.name", "update.learning_rate"
OBJECTIVES: dict[str, dict[str, Value]] = {
    "GRPO": {NAME: "grpo"},
    "DPPO": {NAME: "dppo"},
    "VESPO": {NAME: "vespo"},
    "LUSPO": {NAME: "luspo"},
    "RLOO": {NAME: "rloo"},
    "MaxRL": {NAME: "maxrl"},
    "REINFORCE": {NAME: "reinforce"},
    "DRO": {NAME: "dro", "objective.beta": 0.05},  # it has no default; Tinker's example
}
FACTORS = {"1/3": 1 / 3, "1": 1.0, "2": 2.0}  # multiples of the preset's learning rate


def more_objectives(base: RunConfig) -> Study:
    """Objectives x learning rates, and the best rate of each objective confirmed."""
    most = max(1000, base.evaluation.problems_per_set)
    points = tuple(
        Anchor(
            label=f"{name}, lr x{x}",
            params={**objective, RATE: float(f"{base.update.learning_rate * factor:.3g}")},
        )
        for name, objective in OBJECTIVES.items()
        for x, factor in FACTORS.items()
    )
    return Study(
        name="more_objectives",
        question="Does one of the later objectives beat GRPO, each at its own learning rate?",
        base=base,
        anchors=points,
        trials=len(points),
        seeds=(0, 1, 2),
        metric=base.evaluation.main_metric,
        early_stopping=None,
        confirm=Confirmation(
            seeds=range(1000, 1005),
            best_over=(RATE,),
            overrides={"evaluation.split": "test", "evaluation.final_problems": most},
        ),
    )


if __name__ == "__main__":
    raise SystemExit(main(more_objectives, __doc__, EQUAL_CONDITIONS))
