"""How much does ConSPO's margin matter, and at which temperature?

    python studies/margin_sweep.py                  the whole sweep on the embedded model
    python studies/margin_sweep.py --dry-run        what it would do
    python studies/margin_sweep.py --resume         after an interruption

Only margin / tau enters the gradient, so the sweep is over that ratio, crossed with tau. Anchors
that always run: the published setting, and for each temperature no margin and a large one. The
winner and two of them are then measured again on fresh seeds and problems.
"""

from conspo_study import Anchor, Choice, Confirmation, RunConfig, Study, When, main

TAU, MARGIN = "objective.tau", "objective.margin"
SCHEDULE, ALPHA = "objective.schedule", "objective.alpha"
RATIOS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


def anchor(label: str, tau: float, margin: float) -> Anchor:
    """A setting with the published schedule: cosine over the first 30 % of training."""
    rising = {SCHEDULE: "cosine", ALPHA: 0.3} if margin else {}
    return Anchor(label=label, params={TAU: tau, MARGIN: margin, **rising})


def margin_sweep(base: RunConfig) -> Study:
    """Margin, schedule and warm-up at three temperatures; margins in units of tau."""
    return Study(
        name="margin_sweep",
        base=base,
        space={
            TAU: Choice(values=(0.1, 0.3, 1.0)),
            MARGIN: Choice(values=(0.0, *RATIOS)),
            SCHEDULE: Choice(
                values=("cosine", "linear", "constant"), when=When(path=MARGIN, values=RATIOS)
            ),
            ALPHA: Choice(
                values=(0.1, 0.3, 1.0), when=When(path=SCHEDULE, values=("cosine", "linear"))
            ),
        },
        anchors=(
            anchor("paper", tau=10.0, margin=0.001),
            anchor("tau 0.1, no margin", tau=0.1, margin=0.0),
            anchor("tau 0.1, margin 20", tau=0.1, margin=20.0),
            anchor("tau 1, no margin", tau=1.0, margin=0.0),
            anchor("tau 1, margin 1", tau=1.0, margin=1.0),
        ),
        trials=12,
        seeds=(0, 1),
        metric=base.evaluation.main_metric,
        confirm=Confirmation(seeds=(1000, 1001, 1002), anchors=("paper", "tau 1, no margin")),
    )


if __name__ == "__main__":
    raise SystemExit(main(margin_sweep, __doc__, {"objective.margin_unit": "tau"}))
