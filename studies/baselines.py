"""ConSPO and its baselines under equal conditions (the paper's Tables 1 to 5).

    python studies/baselines.py
    python studies/baselines.py --set update.mini_batches=1      # exactly on-policy
    python studies/baselines_learning_rate.py                    # is it the learning rate?

Prompts and their order, group size, seeds, limits, verifier, optimiser and evaluation are the same
for all. Every rollout batch gives four optimiser steps, and refilling and length shaping are off.
"""

from conspo_study import EQUAL_CONDITIONS, METHODS, Anchor, Comparisons, RunConfig, Study, main


def baselines(base: RunConfig) -> Study:
    """One trial per method, all run to their end."""
    return Study(
        name="baselines",
        question="Does ConSPO differ from its baselines at the preset's learning rate?",
        base=base,
        anchors=tuple(Anchor(label=label, params=params) for label, params in METHODS.items()),
        trials=len(METHODS),
        seeds=(0, 1, 2),
        metric=base.evaluation.main_metric,
        early_stopping=None,
        compare=Comparisons(reference="ConSPO"),
    )


if __name__ == "__main__":
    raise SystemExit(main(baselines, __doc__, EQUAL_CONDITIONS))
