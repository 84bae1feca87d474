"""Is a difference between methods one of learning rates? Every method at three of them.

    python studies/baselines_learning_rate.py

Gradient scales differ by method (Dr. GRPO's by T/L, DisCO's penalty by 1000), so one learning rate
for all favours some. Compare each method's best, and see how wide its good range is. What is tested
is the comparison of `baselines.py`: ConSPO and the others at the preset's learning rate.

Two seeds rank the settings and decide nothing: `--seeds 0,1,2` for verdicts.
"""

from conspo_study import EQUAL_CONDITIONS, METHODS, Anchor, Comparisons, RunConfig, Study, main

FACTORS = (1 / 3, 1.0, 3.0)
"""Multiples of the preset's learning rate."""


def baselines_learning_rate(base: RunConfig) -> Study:
    """Methods x learning rates, all run to their end."""
    points = tuple(
        Anchor(label=_label(method, rate), params={**params, "update.learning_rate": rate})
        for method, params in METHODS.items()
        for rate in (_multiple(base, factor) for factor in FACTORS)
    )
    preset = [_label(method, _multiple(base, 1.0)) for method in METHODS]
    reference = _label("ConSPO", _multiple(base, 1.0))
    return Study(
        name="baselines_learning_rate",
        question="Is a difference between methods one of learning rates?",
        base=base,
        anchors=points,
        trials=len(points),
        seeds=(0, 1),
        metric=base.evaluation.main_metric,
        early_stopping=None,
        compare=Comparisons(
            reference=reference,
            against=tuple(label for label in preset if label != reference),
        ),
    )


def _multiple(base: RunConfig, factor: float) -> float:
    return float(f"{base.update.learning_rate * factor:.3g}")


def _label(method: str, rate: float) -> str:
    return f"{method}, lr {rate:.1g}"


if __name__ == "__main__":
    raise SystemExit(main(baselines_learning_rate, __doc__, EQUAL_CONDITIONS))
