"""A plan says what a study costs and which differences it can show, before anything starts."""

from dataclasses import replace

import pytest
from study_fixtures import definition

from conspo_study.config import with_overrides
from conspo_study.definition import Anchor, Confirmation, EarlyStopping, Sampler
from conspo_study.definition.presets import EMBEDDED, PRESETS, QUICK
from conspo_study.definition.space import Choice, Range
from conspo_study.forecast.costs import checkpoint_bytes, finish_times
from conspo_study.forecast.known_models import EMBEDDED_SHAPE
from conspo_study.forecast.notes import space_notes
from conspo_study.forecast.placement import Node
from conspo_study.forecast.plan import ASSUMED_SD, make_plan
from conspo_study.records import TrialState
from conspo_study.results.retention import BUDGET
from conspo_study.results.spread import measured_spread
from conspo_study.results.table import TrialRow
from conspo_study.statistics.paired_spread import ONE_SEED, TOO_FEW, PairedSpread
from conspo_study.statistics.power import detectable_effect
from conspo_study.text import size_text

SPREAD = PairedSpread(0.02, "measured")


def embedded(settings=None, **changes):
    """A study of the real size: two anchors and four searched trials."""
    base = with_overrides(EMBEDDED, settings or {})
    return definition(**{"base": base, "metric": "eval/chain/hard/avg@8", **changes})


def text(plan):
    return " ".join(" ".join(plan.lines()).split())


def test_trials_confirmations_and_runs_are_counted():
    plan = make_plan(embedded(confirm=Confirmation(seeds=(7, 8, 9))), 2, 0)
    assert (plan.search.trials, plan.anchors, plan.search.runs) == (6, 2, 12)
    assert (plan.confirmation.trials, plan.confirmation.runs) == (3, 9)
    said = text(plan)
    assert "6 (2 baselines, 4 searched) x 2 seeds = 12 runs" in said
    assert "up to 3 trials x 3 fresh seeds = 9 runs" in said
    assert f"{21 * 80:,} in all" in said


@pytest.mark.parametrize(
    ("anchors", "trials", "confirmed"),
    [(None, 6, 3), (("paper",), 6, 2), ((), 6, 1), (None, 2, 2)],
)
def test_the_winner_is_confirmed_with_the_anchors_that_are_asked_for(anchors, trials, confirmed):
    study = embedded(confirm=Confirmation(seeds=(7,), anchors=anchors), trials=trials)
    assert make_plan(study, 2, 0).confirmation.trials == confirmed


@pytest.mark.parametrize(
    ("cpus", "changes", "concurrent", "says"),
    [
        (2, {}, 2, "2 trials at a time, each 1 x 1 CPU core, limited by 2 CPU cores"),
        (64, {}, 4, "4 searched trials at a time, limited by lag 3 + 1; there is room for 64"),
        (64, {"lag": 0}, 2, "1 searched trial at a time, limited by lag 0 + 1"),
        (64, {"lag": 9}, 6, "all 6 trials at a time"),
        (
            64,
            {"sampler": Sampler(name="random"), "early_stopping": None},
            6,
            "all 6 trials at a time",
        ),
        (64, {"confirm": Confirmation(seeds=(7,))}, 7, "4 searched trials at a time"),
    ],
)
def test_concurrency_names_what_limits_it(cpus, changes, concurrent, says):
    plan = make_plan(embedded(**changes), cpus, 0)
    assert plan.concurrent == concurrent
    assert says in text(plan)


def test_a_worker_must_fit_on_one_node():
    study = embedded({"train.cpus_per_worker": 4})
    assert make_plan(study, 6, 0).problems == ()
    split = make_plan(study, 6, 0, nodes=[Node(3), Node(3)])
    assert any("4 CPU cores on one node" in problem for problem in split.problems)
    assert "no trial fits" in text(split)


def test_trials_wait_for_the_results_that_they_depend_on():
    # Three slots, lag 1: trial 2 needs trial 0, trial 3 needs trials 0 and 1.
    assert finish_times([1, 2, 1, 1], [0, 0, 0], [0, 0, 1, 2]) == [1, 2, 2, 3]
    # A later trial never starts before an earlier one, however free its slot is.
    assert finish_times([5, 1, 1], [0, 0, 0], [0, 1, 0]) == [5, 6, 6]
    assert finish_times([1, 1, 1], [0], [0, 0, 0]) == [1, 2, 3]


def test_the_time_counts_lag_and_confirmations():
    alone = make_plan(embedded(), 1, 0).seconds
    assert make_plan(embedded(), 2, 0).seconds == pytest.approx(alone / 2)
    # Lag 0 searches one after the other, however many cores there are.
    serial = make_plan(embedded(lag=0), 64, 0).seconds
    assert serial == pytest.approx(alone * 5 / 6), "two anchors side by side, then four in a row"
    confirmed = make_plan(embedded(confirm=Confirmation(seeds=(7, 8), overrides={})), 1, 0).seconds
    assert confirmed == pytest.approx(alone * 9 / 6)


def test_a_model_of_unknown_speed_and_size_is_not_guessed(tmp_path):
    plan = make_plan(embedded({"policy.model": str(tmp_path)}), 2, 0)
    assert plan.seconds is None and plan.disk_bytes is None and plan.spread is None
    said = text(plan)
    assert "unknown for this model, without early stopping" in said
    assert "unknown until two seeds of two trials have finished" in said


def test_engines_count_for_what_fits_and_make_the_time_unknown():
    plan = make_plan(embedded({"rollout.engine": "vllm", "rollout.vllm_engines": 2}), 7, 0)
    assert plan.concurrent == 2 and plan.seconds is None
    assert "each 1 x 3 CPU cores" in plan.concurrency


def test_disk_counts_the_checkpoints_that_lie_side_by_side():
    one = make_plan(embedded(), 1, 0).disk_bytes
    two = make_plan(embedded(), 2, 0).disk_bytes
    each = 2 * EMBEDDED_SHAPE.parameters * 12
    assert two - one == 2 * each, "a running trial holds two more than an ended one, of two seeds"
    rows = one - 8 * each
    assert 1e6 < rows < 1e7, "the last checkpoints of six trials, and two more of one that runs"
    confirmed = make_plan(embedded(confirm=Confirmation(seeds=(7, 8))), 1, 0).disk_bytes
    assert confirmed - one == pytest.approx((rows + 6 * each) / 2), "three more of six"
    assert "MB: checkpoints and rows of all trials" in text(make_plan(embedded(), 2, 0))


def test_disk_keeps_to_the_budget_of_ended_trials_and_what_always_stays(monkeypatch):
    each = 2 * EMBEDDED_SHAPE.parameters * 12
    free = make_plan(embedded(), 1, 0).disk_bytes
    monkeypatch.setenv(BUDGET, str(4 * each / 2**30))
    plan = make_plan(embedded(), 1, 0)
    assert plan.checkpoint_budget == 4 * each and free - plan.disk_bytes == 2 * each
    assert f"all of them within {size_text(4 * each)}" in text(plan)
    monkeypatch.setenv(BUDGET, "0")
    kept = make_plan(embedded(), 1, 0).disk_bytes
    assert free - kept == 3 * each, "of six trials two anchors and the winner stay"


def test_the_disk_of_a_model_that_is_not_here_follows_from_its_known_size():
    base = PRESETS["paper/qwen-1.5b"]
    assert checkpoint_bytes(base, 3) == 3 * 12 * 1_777_088_000
    lora = {"policy.lora_rank": 16, "train.sharding": "replicate"}
    adapters = with_overrides(base, {**lora, "policy.lora_targets": ["q_proj"]})
    assert checkpoint_bytes(adapters, 1) == 12 * 16 * 28 * (1536 + 12 * 128)
    everything = with_overrides(base, lora)
    assert checkpoint_bytes(adapters, 1) < checkpoint_bytes(everything, 1) < 0.02 * 12 * 1.78e9


def test_the_size_of_a_model_is_read_from_its_files(tmp_path):
    import torch
    from safetensors.torch import save_file

    weights = {"a": torch.zeros(30, 4), "b": torch.zeros(7, dtype=torch.bfloat16)}
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    study = embedded({"policy.model": str(tmp_path)})
    one, two = (make_plan(study, cpus, 0).disk_bytes for cpus in (1, 2))
    assert two - one == 2 * 2 * 127 * 12
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 64)
    assert make_plan(study, 1, 0).disk_bytes is None


def test_the_detectable_effect_follows_from_the_spread_and_the_seeds():
    confirm = Confirmation(seeds=tuple(range(10, 18)))
    study = embedded(seeds=(0, 1, 2), confirm=confirm)
    plan = make_plan(study, 2, 0, spread=SPREAD)
    assert plan.search.detectable == pytest.approx(detectable_effect(0.02, 3))
    assert plan.confirmation.detectable == pytest.approx(detectable_effect(0.02, 8, 0.05 / 2))
    said = text(plan)
    assert "search: differences of two settings from 0.065 up, over 3 seeds" in said
    assert "differences of the winner to each of 2 baselines from 0.027 up, over 8 seeds" in said
    assert "0.020 of a paired difference (measured)" in said


def test_an_assumed_spread_is_called_one_and_only_used_where_it_was_measured():
    plan = make_plan(embedded(), 2, 0)
    assert plan.spread.sd == ASSUMED_SD and "an assumption" in text(plan)
    for study in (
        embedded({"evaluation.problems_per_set": 40}),
        embedded({"evaluation.tracked": ["chain/easy"]}, metric="eval/chain/easy/avg@8"),
        definition(base=QUICK),
    ):
        assert make_plan(study, 2, 0).spread is None


def test_one_seed_detects_nothing_and_says_so():
    plan = make_plan(embedded(seeds=(0,), confirm=Confirmation(seeds=(1,))), 2, 0)
    assert plan.search.detectable is None and plan.confirmation.detectable is None
    assert text(plan).count(ONE_SEED) == 2


def test_two_seeds_promise_no_verdict_whatever_their_spread():
    """Reports decide nothing on two seeds, so a plan promises nothing."""
    for study in (embedded(seeds=(0, 1)), definition(base=QUICK, seeds=(0, 1))):
        plan = make_plan(study, 2, 0)
        assert plan.search.detectable is None and text(plan).count(f"search: {TOO_FEW}") == 1


def test_a_confirmation_that_compares_nothing_promises_nothing():
    plan = make_plan(embedded(confirm=Confirmation(seeds=(7, 8, 9), anchors=())), 2, 0)
    assert plan.confirmation.tests is None and plan.confirmation.detectable is None
    assert "confirmation: " not in text(plan).partition("can detect")[2]


def test_early_stopping_that_cannot_stop_is_a_note_and_no_problem():
    plan = make_plan(embedded(seeds=(0,)), 2, 0)
    assert plan.problems == ()
    assert any("one seed gives no paired evidence" in note for note in plan.notes)
    late = make_plan(embedded(early_stopping=EarlyStopping(min_fraction=1.0)), 2, 0)
    assert any("there is no evaluation between" in note for note in late.notes)
    none = make_plan(embedded(seeds=(0,), early_stopping=None), 2, 0)
    assert not any("early stopping" in note for note in none.notes)


def test_a_study_without_a_confirmation_is_told_what_it_lacks():
    assert any("no confirmation" in note for note in make_plan(embedded(), 2, 0).notes)
    confirmed = make_plan(embedded(confirm=Confirmation(seeds=(7,))), 2, 0)
    assert not any("confirmation" in note for note in confirmed.notes)


@pytest.mark.parametrize(
    ("name", "overrides", "same"),
    [
        ("chain/hard", {"evaluation.split": "test"}, False),
        ("chain/hard", {}, True),
        ("problems.jsonl", {"evaluation.split": "test"}, True),
        ("problems-{split}.jsonl", {"evaluation.split": "test"}, False),
    ],
)
def test_confirming_on_the_problems_that_selected_is_pointed_out(name, overrides, same):
    study = embedded(
        {"evaluation.sets": [name], "evaluation.tracked": []},
        metric=f"eval/{name}/avg@8",
        confirm=Confirmation(seeds=(7,), overrides=overrides),
    )
    notes = [
        note for note in make_plan(study, 2, 0).notes if "problems that the search used" in note
    ]
    assert bool(notes) is same
    assert not same or name in notes[0]


def test_the_spread_is_measured_on_complete_finished_search_trials():
    def row(trial, values, **changes):
        fields = {"state": TrialState.FINISHED, "seeds": (0, 1, 2)}
        return TrialRow(trial, values=values, **{**fields, **changes})

    a, b = {2: 0.75, 0: 0.70, 1: 0.74}, {0: 0.68, 1: 0.75, 2: 0.71}
    good = (row("t0000", a), row("t0001", b))
    found = measured_spread(good)
    assert found.source == "measured: 2 finished trials x 3 seeds"
    others = (
        row("t0002", {0: 0.1, 1: 0.9, 2: 0.4}, state=TrialState.PRUNED),
        row("t0003", {0: 0.1}),
    )
    assert measured_spread(good + others) == found
    assert measured_spread(good[:1]) is None
    assert measured_spread([]) is None


def test_the_lines_fit_a_terminal_and_hold_every_fact():
    anchors = (Anchor(label="paper", params={"objective.tau": 10.0, "objective.margin": 0.001}),)
    study = embedded(anchors=anchors, confirm=Confirmation(seeds=(7, 8, 9)))
    plan = make_plan(study, 2, 0)
    assert max(map(len, plan.lines())) <= 96 and repr(plan) == "\n".join(plan.lines())
    assert max(map(len, plan.lines(80))) <= 80
    titles = [line[:20].strip() for line in plan.lines() if line[:20].strip()]
    assert titles == [
        "rollouts per step",
        "steps",
        "trials",
        "confirmation",
        "responses",
        "concurrency",
        "estimated time",
        "disk",
        "memory per worker",
        "seed-to-seed sd",
        "can detect",
        "can detect",
        "the margin",
        "direction of credit",
    ]
    assert "(not measurable)" in text(plan)
    assert "note" in text(replace(plan, notes=("look out",)))


def notes_of(**changes):
    fields = {"anchors": (), "early_stopping": None, "trials": 12}
    return list(space_notes(definition(**{**fields, **changes})))


def test_what_of_a_space_is_invalid_is_told_with_an_example():
    together = {
        "rollout.prompts_per_step": Choice(values=(4, 6)),
        "train.workers": Choice(values=(1, 2, 4)),
    }
    invalid, spent = notes_of(space=together)
    assert invalid.startswith(
        "1 of the 6 points of the space is invalid and never tried, such as "
        "rollout.prompts_per_step = 6, train.workers = 4 (rollout.prompts_per_step 6 is not"
    )
    assert spent == (
        "the space has 5 valid points, of which baselines take 0: 7 of 12 trials cannot be used"
    )
    with_a_range = {**together, "objective.tau": Range(low=0.1, high=1.0)}
    (share,) = notes_of(space=with_a_range)
    assert 0.13 < float(share.split("%")[0].split()[-1]) / 100 < 0.21


def test_a_budget_that_a_space_cannot_use_is_told():
    three = {"objective.tau": Choice(values=(0.3, 1.0, 3.0))}
    anchors = (Anchor(label="in it", params={"objective.tau": 1.0}),)
    assert notes_of(space=three, anchors=anchors) == [
        "the space has 3 points, of which baselines take 1: 9 of 12 trials cannot be used"
    ]
    assert notes_of(space=three, anchors=anchors, trials=3) == []


def test_anchors_that_are_one_configuration_are_told_by_name():
    spelled_out = Anchor(label="spelled out", params={"objective.tau": 1.0})
    other = Anchor(label="other", params={"objective.tau": 2.0})
    found = notes_of(anchors=(Anchor(label="default", params={}), other, spelled_out), trials=3)
    assert found == [
        "baselines 'default' and 'spelled out' are the same configuration, and each of them is run"
    ]
    study = definition(anchors=(spelled_out, Anchor(label="again", params={"objective.tau": 1.0})))
    assert "baselines 'spelled out' and 'again'" in " ".join(study_notes(study))


def test_importance_weights_that_do_nothing_to_an_objective_are_named():
    names = ("conspo", "grpo", "disco")
    anchors = tuple(Anchor(label=n, params={"objective.name": n}) for n in names)
    cap, level = "update.importance_cap", "update.importance_level"

    def found(**settings):
        base = with_overrides(QUICK, {k.replace("__", "."): v for k, v in settings.items()})
        return [note for note in study_notes(definition(base=base, anchors=anchors)) if cap in note]

    assert found(update__importance_cap=2.0) == [
        f"{cap} does nothing to conspo, disco, whose loss reads no weights of tokens: "
        f"{level}=sequence weighs the gradient of every objective"
    ]
    assert found() == found(update__importance_cap=2.0, update__importance_level="sequence") == []


def study_notes(study):
    return make_plan(study, 2, 0).notes


def test_more_memory_than_this_process_may_use_is_a_note(monkeypatch):
    one = make_plan(embedded(), 1, 0)
    monkeypatch.setattr(
        "conspo_study.forecast.memory.trials.usable_memory", lambda: int(1.5 * one.memory.bytes)
    )
    assert "of memory, and this process" not in text(make_plan(embedded(), 1, 0))
    said = text(make_plan(embedded(), 2, 0))
    assert f"2 workers at a time may need {size_text(2 * one.memory.bytes)} of memory" in said
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert "of memory, and this process" not in text(make_plan(embedded(), 2, 0))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"space": {"update.learning_rate": Range(low=1e-4, high=1e-3)}}, "update.learning_rate"),
        (
            {
                "space": {
                    "update.mini_batches": Choice(values=(1, 4)),
                    "objective.name": Choice(values=("grpo", "conspo_linear")),
                }
            },
            "objective.name, update.mini_batches",
        ),
        ({"space": {"objective.tau": Choice(values=(0.1, 1.0, 3.0))}}, None),
        (
            {
                "space": {"update.learning_rate": Range(low=1e-4, high=1e-3)},
                "early_stopping": None,
            },
            None,
        ),
    ],
)
def test_racing_of_unlike_trials_is_advised_against(changes, told):
    notes = make_plan(embedded(anchors=(), trials=3, **changes), 2, 0).notes
    advice = [note for note in notes if note.startswith("early stopping compares trials")]
    assert [note.split(":")[0] for note in advice] == (
        [f"early stopping compares trials that differ in {told}"] if told else []
    )
    assert all("set early_stopping=None" in note for note in advice)
