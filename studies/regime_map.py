"""Objectives x off-policyness, each at its own best learning rate.

    conspo run regime_map --only E16                   one column: E1, E4, E8 or E16
    conspo map results/regime_map_E* --out map         the columns together

Which strata (an objective at E optimiser steps per rollout batch) differ from the linear score
difference, which from GRPO? Search: 3 seeds; a stratum's best rate: 10 fresh seeds, test problems.
One family per reference, simultaneous 95 % intervals, collapses counted. Cells within 3 points, or
collapsed on some seeds, run on 20 more seeds. docs/regime_map.md has the rules.
"""

from conspo_study import EQUAL_CONDITIONS, METHODS, Anchor, Confirmation, RunConfig, Study, main

NAME, TAU, SCHEDULE = "objective.name", "objective.tau", "objective.schedule"
RATE, BATCHES, EPOCHS = "update.learning_rate", "update.mini_batches", "update.epochs_per_batch"
E = {1: (1, 1), 4: (4, 1), 8: (4, 2), 16: (4, 4)}  # optimiser steps: mini-batches, epochs
FACTORS = {"1/3": 1 / 3, "1": 1.0, "2": 2.0}  # multiples of the preset's learning rate
OBJECTIVES = {name: METHODS[name] for name in ("GRPO", "DAPO", "DisCO", "CISPO", "GSPO")}
OBJECTIVES["linear"] = {NAME: "conspo_linear"}
for tau in (0.1, 0.3, 1.0, 3.0, 10.0):
    OBJECTIVES[f"ConSPO tau {tau:g}"] = {NAME: "conspo", TAU: tau, SCHEDULE: "off"}
    for ratio in (2.0, 10.0):
        OBJECTIVES[f"ConSPO tau {tau:g} M/tau {ratio:g}"] = {
            **{NAME: "conspo", TAU: tau, SCHEDULE: "constant"},
            **{"objective.margin_unit": "tau", "objective.margin": ratio},
        }
LIMITED = {  # trust regions, which the single step of E1 never meets
    f"ConSPO tau 1 {name} {value:g}": {**OBJECTIVES["ConSPO tau 1"], f"objective.{name}": value}
    for name, value in (("clip_score", 0.03), ("kl_limit", 1e-4))
}


def regime_map(base: RunConfig) -> Study:
    """Objectives x E x learning rates, and the best rate of each stratum confirmed."""
    rate, most = base.update.learning_rate, max(1000, base.evaluation.problems_per_set)
    fresh = {"evaluation.split": "test", "evaluation.final_problems": most}
    points = tuple(
        Anchor(
            label=f"{name}, E{e}, lr x{x}",
            params={**objective, BATCHES: n, EPOCHS: m, RATE: float(f"{rate * FACTORS[x]:.3g}")},
        )
        for (e, (n, m)) in E.items()
        for (name, objective) in (OBJECTIVES if e == 1 else OBJECTIVES | LIMITED).items()
        for x in FACTORS
    )
    return Study(
        name="regime_map",
        question="Where does the contrast pay: at which off-policyness, temperature and margin?",
        base=base,
        anchors=points,
        trials=len(points),
        seeds=(0, 1, 2),
        metric=base.evaluation.main_metric,
        early_stopping=None,
        confirm=Confirmation(seeds=tuple(range(1000, 1010)), best_over=(RATE,), overrides=fresh),
    )


if __name__ == "__main__":
    raise SystemExit(main(regime_map, __doc__, EQUAL_CONDITIONS))
