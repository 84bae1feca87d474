"""Larger groups or more prompts? G at constant rollouts per step, and at constant prompts.

    python studies/group_size_sweep.py

At constant rollouts the cost of a step is the same and prompts are traded for contrast; at constant
prompts a larger group costs proportionally more.

Two seeds rank the settings and decide nothing: `--seeds 0,1,2` for verdicts.
"""

from conspo_study import Anchor, Comparisons, RunConfig, Study, main

GROUP, PROMPTS = "rollout.group_size", "rollout.prompts_per_step"
FACTORS = (0.25, 0.5, 1, 2)
"""Group sizes, as multiples of the preset's."""


def group_size_sweep(base: RunConfig) -> Study:
    """Two families of settings that meet in the preset's own."""
    size, prompts = base.rollout.group_size, base.rollout.prompts_per_step
    settings: dict[tuple[int, int], str] = {}
    for factor in FACTORS:
        group = max(2, round(size * factor))
        settings.setdefault((group, prompts), f"G {group}, {prompts} prompts")
        same_cost = max(1, size * prompts // group)
        settings.setdefault((group, same_cost), f"G {group}, {same_cost} prompts")
    return Study(
        name="group_size_sweep",
        question="Larger groups or more prompts?",
        base=base,
        anchors=tuple(
            Anchor(label=label, params={GROUP: group, PROMPTS: count})
            for (group, count), label in settings.items()
        ),
        trials=len(settings),
        seeds=(0, 1),
        metric=base.evaluation.main_metric,
        early_stopping=None,
        compare=Comparisons(reference=settings[size, prompts]),
    )


if __name__ == "__main__":
    raise SystemExit(main(group_size_sweep, __doc__))
