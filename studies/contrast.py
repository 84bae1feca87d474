"""Does the contrast matter for a released model? ConSPO, its linear ablation, and GRPO.

    python studies/contrast.py --preset smollm2                  # on a CPU
    python studies/contrast.py --preset lab/qwen2.5-0.5b-gsm8k   # on a GPU

Same prompts, seeds and optimiser for all; the linear ablation is ConSPO without InfoNCE and margin.
"""

from conspo_study import Anchor, Comparisons, RunConfig, Study, main

NAME = "objective.name"
METHODS = {"ConSPO": "conspo", "linear score difference": "conspo_linear", "GRPO": "grpo"}


def contrast(base: RunConfig) -> Study:
    """One trial per method, all run to their end."""
    return Study(
        name="contrast",
        question="Does the contrast change the accuracy of a released model?",
        base=base,
        anchors=tuple(Anchor(label=label, params={NAME: name}) for label, name in METHODS.items()),
        trials=len(METHODS),
        seeds=(0, 1, 2),
        metric=base.evaluation.main_metric,
        early_stopping=None,
        compare=Comparisons(reference="ConSPO"),
    )


if __name__ == "__main__":
    raise SystemExit(main(contrast, __doc__))
