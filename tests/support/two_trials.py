"""A study of two trials, the second of which diverges: `two_trials.py ARGUMENT...`."""

from conspo_study.commands.script import main
from conspo_study.definition import Anchor
from conspo_study.study import Study

RATES = {"calm": 1e-5, "wild": 1e30}


def build(base):
    return Study(
        name="two_trials",
        base=base,
        anchors=tuple(
            Anchor(label=label, params={"update.learning_rate": rate})
            for label, rate in RATES.items()
        ),
        trials=len(RATES),
        seeds=(0,),
        metric=base.evaluation.main_metric,
        early_stopping=None,
    )


if __name__ == "__main__":
    raise SystemExit(main(build, __doc__))
