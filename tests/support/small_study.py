"""A study of two trials and one seed, without early stopping: `small_study.py ARGUMENT...`."""

from conspo_study.commands.script import main
from conspo_study.definition import Anchor
from conspo_study.definition.space import Choice
from conspo_study.study import Study

TAUS = (0.3, 1.0)


def build(base):
    return Study(
        name="small",
        base=base,
        space={"objective.tau": Choice(values=TAUS)},
        anchors=tuple(Anchor(label=f"tau {tau}", params={"objective.tau": tau}) for tau in TAUS),
        trials=len(TAUS),
        seeds=(0,),
        metric=base.evaluation.main_metric,
        early_stopping=None,
    )


if __name__ == "__main__":
    raise SystemExit(main(build))
