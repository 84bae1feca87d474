"""The data step of figures: means and bands, slices of a search, shares of variance, pass@k."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.figures.data_effects import partial_effects
from analysis.figures.data_methods import method_frame, pass_curves
from analysis.figures.data_search import importance, search_frame
from analysis.figures.data_training import bands, cost_curves, credits_frame, smoothing
from analysis.findings.frames import evaluation_curves, margin_points
from analysis.findings.measured import labelled, measured
from analysis.findings.trial_settings import objective_settings
from analysis.load.study import StudyUnreadable, load_study


def curve(trial: str, seed: int, values: dict[int, float]) -> list[tuple[str, int, int, float]]:
    return [(trial, seed, step, value) for step, value in values.items()]


def frame(*curves: list[tuple[str, int, int, float]]) -> pd.DataFrame:
    rows = [row for own in curves for row in own]
    return pd.DataFrame(rows, columns=["trial", "seed", "step", "value"])


def test_bands_are_of_the_steps_that_all_seeds_have() -> None:
    found = bands(frame(curve("a", 0, {0: 1.0, 1: 2.0, 2: 9.0}), curve("a", 1, {0: 3.0, 1: 2.0})))
    assert found["step"].tolist() == [0, 1]
    assert found["mean"].tolist() == [2.0, 2.0]
    assert found["sd"].tolist() == pytest.approx([math.sqrt(2), 0.0])
    assert found["n"].tolist() == [2, 2]


def test_one_seed_has_no_sd() -> None:
    assert bands(frame(curve("a", 0, {0: 1.0, 1: 2.0})))["sd"].isna().all()


def test_smoothing_averages_each_seed_over_its_neighbours() -> None:
    found = bands(frame(curve("a", 0, {1: 0.0, 2: 3.0, 3: 6.0, 4: 3.0})), window=3)
    assert found["mean"].tolist() == pytest.approx([1.5, 3.0, 4.0, 4.5])
    assert smoothing(pd.DataFrame({"step": [1, 80]})) == 5
    assert smoothing(pd.DataFrame({"step": [1, 10]})) == 1


def trials(**columns: Any) -> pd.DataFrame:
    defaults = {"ratio": 1.0, "tau": 1.0, "schedule": "cosine", "alpha": 0.3, "usable": True}
    return pd.DataFrame(
        {**{n: [v] * len(columns["value"]) for n, v in defaults.items()}, **columns}
    )


def additive(count: int = 48) -> pd.DataFrame:
    """Trials whose value is the sum of what each setting adds, with some of the settings together
    more often than by chance, and settings that only trials with a margin have."""
    rng = np.random.default_rng(3)
    tau = rng.choice([0.1, 0.3, 1.0], size=count, p=[0.2, 0.3, 0.5])
    # The larger tau, the more often a margin: means by margin alone would mix the two.
    ratio = np.where(rng.random(count) < 0.3 + 0.5 * (tau == 1.0), 5.0, 0.0)
    schedule = np.where(ratio > 0, rng.choice(["cosine", "linear"], size=count), None)
    value = 0.5 + 0.2 * (tau == 1.0) + 0.05 * (ratio > 0) + 0.02 * (schedule == "linear")
    return trials(value=value, tau=tau, ratio=ratio, schedule=schedule)


def test_partial_effects_are_those_that_the_values_were_made_of() -> None:
    frame = additive()
    found = partial_effects(frame, ["tau", "ratio", "schedule"])
    assert found.settings == ("tau", "ratio", "schedule") and found.left_out == ()
    assert found.mean == pytest.approx(frame["value"].mean())
    by = {name: own.set_index("level") for name, own in found.levels.groupby("setting")}
    tau, ratio, schedule = (by[name]["value"] for name in ("tau", "ratio", "schedule"))
    assert tau["1"] - tau["0.1"] == pytest.approx(0.2) and tau["0.3"] == pytest.approx(tau["0.1"])
    # Of a margin with a schedule in the middle between the two.
    assert ratio["5"] - ratio["0"] == pytest.approx(0.06)
    assert schedule["linear"] - schedule["cosine"] == pytest.approx(0.02)
    assert by["schedule"]["trials"].sum() == (frame["ratio"] > 0).sum()
    unadjusted = frame.groupby("ratio")["value"].mean()
    assert unadjusted[5.0] - unadjusted[0.0] > 0.08, "the settings do go together"


def test_intervals_of_partial_effects_hold_the_spread_between_trials() -> None:
    frame, settings = additive(), ["tau", "ratio", "schedule"]
    noise = np.random.default_rng(5).normal(0, 0.03, len(frame))
    noisy, quiet = (frame.assign(value=frame["value"] + size * noise) for size in (1.0, 0.1))
    found = partial_effects(noisy, settings).levels
    assert (found["low"] < found["value"]).all() and (found["value"] < found["high"]).all()
    pd.testing.assert_frame_equal(found, partial_effects(noisy, settings).levels)
    widths = found["high"] - found["low"]
    less = partial_effects(quiet, settings).levels
    assert widths.to_numpy() == pytest.approx((10 * (less["high"] - less["low"])).to_numpy())


def test_coverage_of_the_intervals_of_partial_effects() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(60):
        tau = rng.choice([0.1, 1.0], size=40)
        ratio = rng.choice([0.0, 5.0], size=40)
        value = 0.5 + 0.1 * (tau == 1.0) + 0.05 * (ratio > 0) + rng.normal(0, 0.05, 40)
        found = partial_effects(trials(value=value, tau=tau, ratio=ratio), ["tau", "ratio"], 200)
        row = found.levels.iloc[1]
        held.append(row["low"] <= 0.5 + 0.1 + 0.025 <= row["high"])
    assert np.mean(held) >= 0.85


def test_settings_that_go_together_are_not_told_apart() -> None:
    frame = additive().assign(alpha=lambda one: one["tau"] * 2)
    found = partial_effects(frame, ["tau", "alpha"])
    assert found.settings == ("tau",) and found.left_out == ("alpha",)


def test_many_numbers_become_quartiles_and_zero_stays_alone() -> None:
    rng = np.random.default_rng(1)
    ratio = np.concatenate([np.zeros(10), rng.uniform(1, 20, 30)])
    found = partial_effects(trials(value=rng.random(40), ratio=ratio), ["ratio"]).levels
    assert found["level"].iloc[0] == "0" and found["trials"].iloc[0] == 10
    assert len(found) == 4 and found["trials"].sum() == 40


def test_importance_finds_the_setting_that_decides_and_says_what_chance_does() -> None:
    value = [0.1, 0.2, 0.1, 0.2, 0.8, 0.9, 0.8, 0.9]
    found = importance(
        trials(value=value, tau=[1.0] * 4 + [2.0] * 4, ratio=[1.0, 2.0, 2.0, 1.0] * 2),
        ["tau", "ratio"],
    ).set_index("setting")
    # Means 0.15 and 0.85 around 0.5: 0.98 of a sum of squares of 1.
    assert found.loc["tau", "share"] == pytest.approx(0.98)
    assert found.loc["tau", "share"] > found.loc["tau", "chance"]
    assert found.loc["ratio", "share"] == pytest.approx(0.0)
    assert found.loc["ratio", "share"] < found.loc["ratio", "chance"]


def test_importance_needs_trials_that_share_a_setting() -> None:
    value = [0.1 * index for index in range(8)]
    assert importance(trials(value=value[:7], tau=[1.0, 2.0] * 3 + [1.0]), ["tau"]).empty
    assert importance(trials(value=value, schedule=list("abcdefgh")), ["schedule"]).empty


def test_search_frame_keeps_the_order_of_the_search_and_what_varies(full_study: Path) -> None:
    found, settings = search_frame(load_study(full_study))
    assert found["trial"].tolist() == sorted(found["trial"])
    assert settings == ["tau", "ratio", "schedule", "alpha"]
    ended = found[found["state"] != "finished"]
    assert len(ended) and not ended["usable"].any()
    paper = found[found["label"] == "paper"].iloc[0]
    assert paper["margin"] == pytest.approx(paper["ratio"] * paper["tau"])


def test_pass_curves_use_every_k_that_the_samples_allow(full_study: Path) -> None:
    study = load_study(full_study)
    found = pass_curves(study, ["t0000"])
    assert sorted(found["k"].unique()) == [1, 2]
    wide = found.pivot(index="seed", columns="k", values="value")
    assert (wide[2] >= wide[1]).all()
    rows = study.evaluations_of(["t0000"], steps=[study.table.row("t0000").step])
    sampled = rows[rows["sample"] >= 0]
    right = (sampled["verdict"] == "correct").groupby(sampled["seed"]).mean()
    assert wide[1].to_dict() == pytest.approx(right.to_dict())
    assert pass_curves(study, []).empty


def test_problem_sets_are_in_the_order_of_the_study(make_study: Any, trial: Any) -> None:
    study = load_study(make_study([trial(1.0, 1.0)]))
    rows = study.evaluations_of(["t0000"], steps=[study.table.row("t0000").step])
    sets = ["chain/hard", "chain/easy", "chain/medium", "another"]
    several = pd.concat([rows.assign(problem_set=name) for name in sorted(sets)])
    declared = {"evaluation": {"sets": sets[:3]}}
    study = replace(study, configs={"t0000": declared})
    object.__setattr__(study, "evaluations_of", lambda *_: several)
    assert list(dict.fromkeys(pass_curves(study, ["t0000"])["problem_set"])) == sets


def test_costs_are_rollouts_and_seconds_before_the_evaluation(make_study: Any, trial: Any) -> None:
    study = load_study(make_study([trial(1.0, 1.0, params={"rollout.group_size": 4})]))
    for row in (folder := study.trial_folder("t0000") / "steps.jsonl").read_text().splitlines():
        timed = json.loads(row) | {"tokens": 100.0, "tokens_per_s": 50.0}
        with folder.open("a") as file:
            file.write(json.dumps(timed) + "\n")
    found = cost_curves(study, evaluation_curves(study, study.metric))
    own = found[found["seed"] == 0].sort_values("step")
    assert own["rollouts"].tolist() == [0, 10 * 8 * 4, 20 * 8 * 4]
    assert own["seconds"].tolist() == pytest.approx([0.0, 20.0, 40.0])


def test_a_damaged_line_of_credits_is_named(make_study: Any, trial: Any) -> None:
    study = load_study(make_study([trial(1.0, 1.0)]))
    assert credits_frame(study, ["t0000"]).empty
    (study.trial_folder("t0000") / "credits.jsonl").write_text('{"seed": 0, "step": 1}\n')
    with pytest.raises(StudyUnreadable, match=r"credits\.jsonl.*seed 0, step 1"):
        credits_frame(study, ["t0000"])


def test_methods_have_the_mean_of_their_seeds(make_study: Any, trial: Any) -> None:
    labels = [trial(1.0, 0.0, "off", label="a"), trial(1.0, 5.0, label="b")]
    study = load_study(make_study(labels, problems=4))
    found = method_frame(measured(labelled(study))).set_index("method")
    assert set(found.index) == {"a", "b"}
    for row in found.to_dict("records"):
        assert row["value"] == pytest.approx(sum(row["by_seed"]) / 2)
        assert row["low"] <= row["value"] <= row["high"] or row["no_interval"]


def test_a_margin_is_compared_within_the_objective_that_most_trials_have(
    make_study: Any, trial: Any
) -> None:
    """Another objective's tau is in other units: what differs would be the objective's effect."""
    trials = [trial(1.0, ratio, "cosine" if ratio else "off") for ratio in (0.0, 1.0, 5.0)]
    other = trial(1.0, 1.0, "cosine")
    other.params = {"objective.name": "conspo_clipped_ratio"}
    study = load_study(make_study([*trials, other]))
    assert set(margin_points(study)["trial"]) == {row.id for row in study.table.rows[:3]}


def test_equal_ratios_of_margin_and_tau_are_one_value() -> None:
    given = {"objective": {"name": "conspo", "margin_unit": "score", "schedule": "cosine"}}
    ratios = {
        objective_settings({"objective": {**given["objective"], "tau": tau, "margin": margin}}, {})[
            "ratio"
        ]
        for tau, margin in ((0.1, 0.3), (1.0, 3.0), (0.3, 0.9))
    }
    assert ratios == {3.0}
