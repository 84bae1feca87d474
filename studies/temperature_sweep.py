"""Sweep of the contrastive temperature: ConSPO without a margin, three decades of tau.

    python studies/temperature_sweep.py

Scores are mean log-probabilities per token. Where tau is far above their gaps, credit is that of
the plain difference of mean scores; far below, only the closest pairs of a group count. All are
compared with the largest tau, which has no contrast left.

Two seeds rank the settings and decide nothing: `--seeds 0,1,2` for verdicts.
"""

from conspo_study import Anchor, Comparisons, RunConfig, Study, main

TAUS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


def temperature_sweep(base: RunConfig) -> Study:
    """One trial per temperature, all run to their end."""
    return Study(
        name="temperature_sweep",
        question="Which temperature does ConSPO without a margin need?",
        base=base,
        anchors=tuple(
            Anchor(
                label=f"tau {tau:g}",
                params={"objective.tau": tau, "objective.schedule": "off"},
            )
            for tau in TAUS
        ),
        trials=len(TAUS),
        seeds=(0, 1),
        metric=base.evaluation.main_metric,
        early_stopping=None,
        compare=Comparisons(reference=f"tau {max(TAUS):g}"),
    )


if __name__ == "__main__":
    raise SystemExit(main(temperature_sweep, __doc__))
