"""Is a difference between methods one of learning rates? Every method at three of them.

    python studies/baselines_learning_rate.py

Gradient scales differ by method (Dr. GRPO's by T/L, DisCO's penalty by 1000), so one learning rate
for all favours some. Compare each method's best, and see how wide its good range is.
"""

from conspo_study import EQUAL_CONDITIONS, METHODS, Anchor, RunConfig, Study, main

FACTORS = (1 / 3, 1.0, 3.0)
"""Multiples of the preset's learning rate."""


def baselines_learning_rate(base: RunConfig) -> Study:
    """Methods x learning rates, all run to their end."""
    points = tuple(
        Anchor(label=f"{label}, lr {rate:.1g}", params={**params, "update.learning_rate": rate})
        for label, params in METHODS.items()
        for rate in (float(f"{base.update.learning_rate * factor:.3g}") for factor in FACTORS)
    )
    return Study(
        name="baselines_learning_rate",
        base=base,
        anchors=points,
        trials=len(points),
        seeds=(0, 1),
        metric=base.evaluation.main_metric,
        early_stopping=None,
    )


if __name__ == "__main__":
    raise SystemExit(main(baselines_learning_rate, __doc__, EQUAL_CONDITIONS))
