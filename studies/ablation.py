"""Ablation of ConSPO's parts (the paper's Table 6), under equal conditions.

    python studies/ablation.py
    python studies/ablation.py --set update.mini_batches=4       # several steps per batch

The linear score difference drops the contrast, clipped-ratio scores drop the likelihood score, and
two variants drop or fix the margin. Temperature, margin and warm-up are the preset's.
"""

from conspo_study import Anchor, Comparisons, ConSPOOptions, RunConfig, Study, Value, main

NAME = "objective.name"


def ablation(base: RunConfig) -> Study:
    """ConSPO and its four ablations, all run to their end."""
    whole = base.objective
    assert isinstance(whole, ConSPOOptions)
    kept: dict[str, Value] = {
        f"objective.{field}": getattr(whole, field)
        for field in ("tau", "margin", "margin_unit", "schedule", "alpha")
    }
    variants: dict[str, dict[str, Value]] = {
        "ConSPO": {NAME: "conspo", **kept},
        "linear score difference": {NAME: "conspo_linear"},
        "clipped-ratio scores": {NAME: "conspo_clipped_ratio", **kept},
        "no margin": {NAME: "conspo", **kept, "objective.schedule": "off"},
        "fixed margin": {NAME: "conspo", **kept, "objective.schedule": "constant"},
    }
    return Study(
        name="ablation",
        question="Which parts of ConSPO matter: scores, contrast, margin, schedule?",
        base=base,
        anchors=tuple(Anchor(label=label, params=params) for label, params in variants.items()),
        trials=len(variants),
        seeds=(0, 1, 2),
        metric=base.evaluation.main_metric,
        early_stopping=None,
        compare=Comparisons(reference="ConSPO"),
    )


if __name__ == "__main__":
    raise SystemExit(main(ablation, __doc__))
