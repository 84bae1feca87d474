"""How much does ConSPO's margin matter, and at which temperature?

    python studies/margin_sweep.py                  the whole sweep on the embedded model
    python studies/margin_sweep.py --dry-run        what it would do
    python studies/margin_sweep.py --resume         after an interruption

Only margin / tau enters the gradient: the sweep is over that ratio, crossed with tau. It acts where
data are stale, so that the embedded model takes 16 optimiser steps on each rollout batch.
"""

from conspo_study import Anchor, Choice, Confirmation, RunConfig, Study, When, main

NAME, TAU, MARGIN = "objective.name", "objective.tau", "objective.margin"
SCHEDULE, ALPHA = "objective.schedule", "objective.alpha"
BATCHES, EPOCHS, RATE = "update.mini_batches", "update.epochs_per_batch", "update.learning_rate"
RATIOS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
POINTS = {"tau 0.1, no margin": (0.1, 0.0), "tau 0.1, margin 20": (0.1, 20.0)}
SHORT = {"train.steps": 24, "evaluation.every": 12, "evaluation.final_problems": 300}
STALE = {BATCHES: 4, EPOCHS: 4, RATE: 1e-4, **SHORT}


def anchor(label: str, tau: float, margin: float, **others: object) -> Anchor:
    """A setting with the published schedule: cosine over the first 30 % of training."""
    others |= {SCHEDULE: "cosine", ALPHA: 0.3} if margin else {}
    return Anchor(label=label, params={TAU: tau, MARGIN: margin, **others})


def margin_sweep(base: RunConfig) -> Study:
    """Margin, schedule and warm-up at three temperatures; margins in units of tau."""
    rising = When(path=SCHEDULE, values=("cosine", "linear"))
    schedules = ("cosine", "linear", "constant")
    fresh = {BATCHES: 1, EPOCHS: 1, RATE: 3 * base.update.learning_rate}
    stale = base.update.mini_batches * base.update.epochs_per_batch > 1
    again = [anchor(f"{name}, fresh, 3 x rate", *point, **fresh) for name, point in POINTS.items()]
    return Study(
        name="margin_sweep",
        question="Does a margin act, and at which temperature?",
        base=base,
        space={
            TAU: Choice(values=(0.1, 0.3, 1.0)),
            MARGIN: Choice(values=(0.0, *RATIOS)),
            SCHEDULE: Choice(values=schedules, when=When(path=MARGIN, values=RATIOS)),
            ALPHA: Choice(values=(0.1, 0.3, 1.0), when=rising),
        },
        anchors=(
            Anchor(label="linear", params={NAME: "conspo_linear"}),
            Anchor(label="GRPO", params={NAME: "grpo"}),
            *(anchor(label, *point) for label, point in POINTS.items()),
            anchor("tau 1, no margin", 1.0, 0.0),
            *(again if stale else ()),
        ),
        trials=12,
        seeds=(0, 1),
        metric=base.evaluation.main_metric,
        confirm=Confirmation(seeds=(1000, 1001, 1002), anchors=tuple(POINTS)),
    )


if __name__ == "__main__":
    raise SystemExit(main(margin_sweep, __doc__, {"objective.margin_unit": "tau"}, embedded=STALE))
