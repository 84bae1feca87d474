"""A study's declaration is checked as a whole before anything runs."""

import pytest
from pydantic import ValidationError
from study_fixtures import MARGIN, METRIC, SCHEDULE, TAU, definition

from conspo_study.config import ConfigError, with_overrides
from conspo_study.definition import (
    Aim,
    Anchor,
    Confirmation,
    EarlyStopping,
    Sampler,
    StudyDefinition,
    definition_problems,
)
from conspo_study.definition.foreign_code import modules_of
from conspo_study.definition.presets import QUICK
from conspo_study.definition.space import Choice, Range, When

RANGE = {TAU: Range(low=0.1, high=1.0)}
WIDE = {
    f"update.{name}": Choice(values=tuple(i / 100 for i in range(1, 99)))
    for name in ("beta1", "beta2", "weight_decay", "learning_rate")
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": (1, 1)}, "seeds must be distinct"),
        ({"trials": 1}, "2 baselines (anchors) always run, but the budget is 1 trial"),
        ({"trials": 0}, "greater than or equal to 1"),
        ({"metric": "eval/chain/hard/avg@8"}, "is not tracked during training; known: "),
        ({"metric": "eval/chain/easy/avg@2"}, "is not tracked during training"),
        ({"space": {"objective.tua": Choice(values=(1.0,))}}, "did you mean objective.tau?"),
        ({"space": {TAU: Choice(values=(1.0, -1.0))}}, "objective.tau = -1.0: should be greater"),
        ({"space": {}}, "the space is empty"),
        ({"name": "../escape"}, "a name has letters from a to z, digits and the signs . _ -"),
        ({"anchors": (Anchor(label="a", params={"objective.alpha": 2.0}),)}, "anchor 'a'"),
        (
            {"anchors": tuple(Anchor(label="a", params={TAU: t}) for t in (1.0, 2.0))},
            "anchor labels must be distinct",
        ),
        (
            {"sampler": Sampler(name="grid"), "space": RANGE},
            "objective.tau: is a range, which a grid cannot list: list its values in a Choice",
        ),
        ({"sampler": Sampler(name="grid"), "space": WIDE}, "a grid of 10000 points or more"),
        (
            {"sampler": Sampler(name="gp")},
            "objective.schedule: exists only for some values of objective.margin, which the "
            "sampler gp cannot model: drop its `when`, or use the sampler tpe",
        ),
        (
            {"space": {SCHEDULE: Choice(values=("off",), when=When(path=TAU, values=(1.0,)))}},
            "exists where objective.tau has some value, which must be a choice of this space",
        ),
        (
            {"space": {**RANGE, MARGIN: Choice(values=(0.0,), when=When(path=TAU, values=(1.0,)))}},
            "which must be a choice of this space",
        ),
        (
            {
                "space": {
                    TAU: Choice(values=(1.0,)),
                    MARGIN: Choice(values=(0.0,), when=When(path=TAU, values=(1.0, 3.0))),
                }
            },
            "objective.margin: exists where objective.tau is [3.0], which it never is",
        ),
        (
            {
                "space": {
                    TAU: Choice(values=(1.0,), when=When(path=MARGIN, values=(1.0,))),
                    MARGIN: Choice(values=(1.0,), when=When(path=TAU, values=(1.0,))),
                }
            },
            "conditions form a circle",
        ),
        (
            {"space": {"evaluation.temperature": Choice(values=(0.5, 1.0))}},
            "space: evaluation.temperature must be the same for all trials",
        ),
        (
            {"anchors": (Anchor(label="a", params={"evaluation.samples": 4}),)},
            "anchor 'a': evaluation.samples must be the same for all trials",
        ),
        (
            {"anchors": (Anchor(label="long", params={"train.steps": 9}),)},
            "anchor 'long': train.steps differs between trials",
        ),
        (
            {"also": (Aim(metric="tokens_per_s", direction="max"),)},
            "also: metric 'tokens_per_s' is not known at every trial's end; known: eval/chain/hard",
        ),
        ({"also": (Aim(metric=METRIC, direction="max"),)}, "a metric is an objective once"),
        ({"confirm": Confirmation(seeds=(5, 5))}, "confirm: seeds must be distinct"),
        ({"confirm": Confirmation(seeds=(5, 1, 0))}, "confirm: seeds 0, 1 selected the winner"),
        (
            {"confirm": Confirmation(seeds=(5,), anchors=("papers",))},
            "confirm: no anchor is called 'papers'; known: paper, no margin",
        ),
        (
            {"confirm": Confirmation(seeds=(5,), overrides={"evaluation.spilt": "test"})},
            "confirm: evaluation.spilt: unknown setting (did you mean evaluation.split?)",
        ),
        (
            {"confirm": Confirmation(seeds=(5,), overrides={"update.beta1": 0.5})},
            "confirm: update.beta1 is not a setting of the evaluation",
        ),
        (
            {"confirm": Confirmation(seeds=(5,), overrides={"evaluation.samples": 4})},
            f"confirm: with these overrides {METRIC!r} is not measured",
        ),
    ],
)
def test_a_contradiction_is_named(changes, message):
    with pytest.raises(ConfigError) as caught:
        definition(**changes)
    assert message in str(caught.value)


def test_all_contradictions_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        definition(
            seeds=(1, 1), metric="reward", confirm=Confirmation(seeds=(1,)), trials=1, space=WIDE
        )
    for message in ("seeds must be distinct", "metric 'reward'", "seeds 1 selected", "2 baselines"):
        assert message in str(caught.value)


def test_a_dimension_is_checked_where_it_exists():
    """Options of an objective that only some points of the space use."""
    space = {
        "objective.name": Choice(values=("grpo", "conspo")),
        TAU: Choice(values=(1.0, 2.0), when=When(path="objective.name", values=("conspo",))),
    }
    base = with_overrides(QUICK, {"objective.name": "grpo"})
    assert definition(base=base, space=space, anchors=()).space == space


def test_the_hash_sees_everything_but_the_budget():
    base = definition()
    assert definition(trials=9).hash == base.hash
    for changes in (
        {"seeds": (0, 2)},
        {"direction": "min"},
        {"early_stopping": None},
        {"early_stopping": EarlyStopping(alpha=0.1)},
        {"lag": 2},
        {"sampler": Sampler(name="random")},
        {"also": (Aim(metric="tokens", direction="min"),)},
        {"confirm": Confirmation(seeds=(5,))},
        {"root_seed": 1},
        {"space": {TAU: Choice(values=(0.1, 1.0))}},
        {"anchors": ()},
    ):
        assert definition(**changes).hash != base.hash, changes


def test_a_definition_survives_json():
    declared = definition(
        confirm=Confirmation(seeds=(5, 6), anchors=("paper",)),
        also=(Aim(metric="tokens", direction="min"),),
        sampler=Sampler(name="qmc"),
    )
    again = StudyDefinition.model_validate(declared.frozen())
    assert again == declared
    assert again.hash == declared.hash


def test_the_order_in_which_dimensions_are_listed_is_no_part_of_the_definition():
    space = definition().space
    assert definition(space=dict(reversed(space.items()))).hash == definition().hash


def test_where_a_trial_may_stop():
    base = with_overrides(QUICK, {"train.steps": 30, "evaluation.every": 4})
    assert definition(base=base).looks == (16, 20, 24, 28)
    assert definition(base=base, early_stopping=EarlyStopping(min_fraction=0.4)).looks[0] == 12
    every_3 = with_overrides(base, {"evaluation.every": 3})
    assert definition(base=every_3, early_stopping=EarlyStopping(min_fraction=0.1)).looks[0] == 3
    assert definition(base=base, early_stopping=None).looks == ()
    assert definition(base=base, seeds=(0,)).looks == ()


def test_who_waits_for_results():
    assert definition(early_stopping=None).waits_for_results
    random = Sampler(name="random")
    assert definition(sampler=random).waits_for_results  # its bars do
    assert not definition(sampler=random, early_stopping=None).waits_for_results
    assert not definition(sampler=random, seeds=(0,)).waits_for_results


def test_the_metric_of_a_set_has_the_k_of_that_set():
    base = with_overrides(
        QUICK,
        {"evaluation.samples_of": {"chain/hard": 5, "elsewhere": 9}, "evaluation.tracked": ()},
    )
    assert base.evaluation.samples_for("chain/easy") == 2
    hard = with_overrides(base, {"evaluation.tracked": ("chain/hard",)})
    assert hard.evaluation.main_metric == "eval/chain/hard/avg@5"
    for metric in ("eval/chain/hard/avg@5", "eval/chain/easy/avg@2"):
        definition(base=base, metric=metric)
    with pytest.raises(ConfigError, match="is not tracked"):
        definition(base=base, metric="eval/chain/hard/avg@2")
    with pytest.raises(ConfigError, match="at least one sample"):
        with_overrides(QUICK, {"evaluation.samples_of": {"chain/hard": 0}})


def test_trials_with_different_rewards_need_one_judge_of_their_evaluations(place):
    place("two.py", "def a(p, r, q): return 1\ndef b(p, r, q): return 0\n")
    anchors = (
        Anchor(label="a", params={TAU: 1.0, "reward.name": "two:a"}),
        Anchor(label="b", params={TAU: 1.0, "reward.name": "two:b"}),
    )
    with pytest.raises(ConfigError, match=r"anchor 'a': reward\.name differs .*evaluation\.re"):
        definition(anchors=anchors)
    judged = with_overrides(definition().base, {"evaluation.reward": "math"})
    found = definition(base=judged, anchors=anchors)
    assert modules_of(found) == ("two",)
    space = {**definition().space, "reward.threshold": Choice(values=(0.5, 1.0))}
    with pytest.raises(ConfigError, match=r"space: reward\.threshold differs"):
        definition(space=space)


def test_a_graded_reward_may_be_what_a_study_selects_by(place):
    place("graded.py", "def score(p, r, q): return 0.5\n")
    base = with_overrides(definition().base, {"reward.name": "graded:score"})
    metric = METRIC.replace("avg@", "reward@")
    assert definition(base=base, metric=metric).metric == metric
    with pytest.raises(ConfigError, match=r"reward@2' is not tracked"):
        definition(metric=metric)
    judged = with_overrides(base, {"evaluation.reward": "math"})
    with pytest.raises(ConfigError, match=r"reward@2' is not tracked"):
        definition(base=judged, metric=metric)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Anchor(label="a", params=3), "1 problem in Anchor:\n  - params = 3: takes a map"),
        (lambda: Sampler(name="tep"), "or 'grid' (did you mean tpe?)"),
        (
            lambda: Confirmation(seeds=()),
            "1 problem in Confirmation:\n  - seeds = (): needs at lea",
        ),
        (lambda: definition(base="quik"), "unknown preset 'quik' (did you mean quick?)"),
        (lambda: definition(budget=3), "budget: unknown setting"),
    ],
)
def test_a_call_in_python_is_refused_in_plain_words(call, said):
    with pytest.raises(ConfigError) as caught:
        call()
    assert said in str(caught.value)
    assert "pydantic" not in str(caught.value) and caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_stored_data_is_refused_with_the_place_of_the_problem():
    stored = definition().model_dump(mode="json")
    stored["space"][TAU]["values"] = []
    stored["confirm"] = {"seeds": []}
    with pytest.raises(ValidationError) as caught:
        StudyDefinition.model_validate(stored)
    found = definition_problems(caught.value)
    assert any(line.startswith("confirm.seeds = []: needs at least 1 item") for line in found)
