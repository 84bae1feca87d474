"""The paper's Figure 3: sensitivity to tau, M and alpha, one at a time.

    python studies/parameter_study.py

The two that do not vary keep the preset's values. With the paper's setting that is tau 10, M 0.01,
alpha 0.3; on the embedded model it is a temperature at which the contrast can act.

Two seeds rank the settings and decide nothing: `--seeds 0,1,2` for verdicts.
"""

from conspo_study import Anchor, Comparisons, ConSPOOptions, RunConfig, Study, main

FACTORS = {"tau": (0.1, 0.3, 3, 10), "margin": (0.1, 10, 20)}
"""Multiples of the preset's value."""
ALPHAS = (0.1, 0.3, 0.6, 1.0)


def parameter_study(base: RunConfig) -> Study:
    """The preset's point, and three lines through it."""
    center = base.objective
    if not isinstance(center, ConSPOOptions):
        raise ValueError("this study varies settings of ConSPO: leave objective.name as it is")
    values = {
        name: [getattr(center, name) * factor for factor in factors]
        for name, factors in FACTORS.items()
    }
    values["alpha"] = [alpha for alpha in ALPHAS if alpha != center.alpha]
    points = [
        Anchor(label=f"{name} {value:g}", params={f"objective.{name}": value})
        for name, line in values.items()
        for value in line
    ]
    return Study(
        name="parameter_study",
        question="How sensitive is ConSPO to tau, M and alpha, one at a time?",
        base=base,
        anchors=(Anchor(label="center", params={"objective.tau": center.tau}), *points),
        trials=1 + len(points),
        seeds=(0, 1),
        metric=base.evaluation.main_metric,
        early_stopping=None,
        compare=Comparisons(reference="center"),
    )


if __name__ == "__main__":
    raise SystemExit(main(parameter_study, __doc__))
