"""All of ConSPO's knobs together, searched by Optuna's TPE.

    python studies/joint_search.py --trials 40

Temperature, margin (in units of tau), its schedule and warm-up, group size and learning rate;
margin and warm-up exist only where the schedule uses them. The published setting and the preset's
own always run.
"""

from conspo_study import Anchor, Choice, Confirmation, Range, RunConfig, Sampler, Study, When, main

TAU, MARGIN, ALPHA = "objective.tau", "objective.margin", "objective.alpha"
SCHEDULE, GROUP, RATE = "objective.schedule", "rollout.group_size", "update.learning_rate"
RISING = ("cosine", "linear")


def joint_search(base: RunConfig) -> Study:
    """Six dimensions, two of them conditional."""
    rate = base.update.learning_rate
    return Study(
        name="joint_search",
        question="Which temperature, margin, schedule and group size are best together?",
        base=base,
        space={
            TAU: Range(low=0.1, high=10.0, log=True),
            SCHEDULE: Choice(values=("off", "constant", *RISING)),
            MARGIN: Range(
                low=0.05,
                high=20.0,
                log=True,
                when=When(path=SCHEDULE, values=("constant", *RISING)),
            ),
            ALPHA: Range(low=0.1, high=1.0, when=When(path=SCHEDULE, values=RISING)),
            GROUP: Choice(values=(4, 8, 16, 32)),
            RATE: Range(low=rate / 3, high=rate * 3, log=True),
        },
        anchors=(
            Anchor(label="paper", params={TAU: 10.0, MARGIN: 0.001, SCHEDULE: "cosine"}),
            Anchor(label="preset", params={}),
        ),
        trials=24,
        seeds=(0, 1),
        metric=base.evaluation.main_metric,
        sampler=Sampler(startup_trials=8),
        confirm=Confirmation(seeds=(1000, 1001, 1002)),
    )


if __name__ == "__main__":
    raise SystemExit(main(joint_search, __doc__, {"objective.margin_unit": "tau"}))
