"""A study's declaration is checked as a whole before anything runs."""

import pytest
from pydantic import ValidationError
from study_fixtures import MARGIN, TAU, definition

from conspo_study.definition import Anchor, StudyDefinition
from conspo_study.space import Choice, Range, contains


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": (1, 1)}, "seeds must be distinct"),
        ({"trials": 1}, "2 anchors always run, but the budget is 1 trials"),
        ({"trials": 0}, "greater than or equal to 1"),
        ({"metric": "eval/chain/hard/avg@8"}, "is not tracked during training; known: "),
        ({"metric": "eval/chain/easy/avg@2"}, "is not tracked during training"),
        ({"space": {"objective.tua": Choice(values=(1.0,))}}, "did you mean objective.tau?"),
        ({"space": {TAU: Choice(values=(1.0, -1.0))}}, "objective.tau = -1.0: should be greater"),
        ({"space": {}}, "the space is empty"),
        ({"name": "../escape"}, "should match pattern"),
        ({"anchors": (Anchor(label="a", params={"objective.alpha": 2.0}),)}, "anchor 'a'"),
        (
            {"anchors": tuple(Anchor(label="a", params={TAU: t}) for t in (1.0, 2.0))},
            "anchor labels must be distinct",
        ),
    ],
)
def test_a_contradiction_is_named(changes, message):
    with pytest.raises(ValidationError) as caught:
        definition(**changes)
    assert message in str(caught.value)


def test_the_hash_sees_everything_but_the_budget():
    base = definition()
    assert definition(trials=9).hash == base.hash
    for changes in (
        {"seeds": (0, 2)},
        {"direction": "min"},
        {"early_stopping": None},
        {"root_seed": 1},
        {"space": {TAU: Choice(values=(0.1, 1.0))}},
        {"anchors": ()},
    ):
        assert definition(**changes).hash != base.hash, changes


def test_a_definition_survives_json():
    again = StudyDefinition.model_validate(definition().frozen())
    assert again == definition()
    assert again.hash == definition().hash


def test_membership_in_the_space_respects_conditions():
    space = definition().space
    assert contains(space, {TAU: 1.0, MARGIN: 0.0})
    assert not contains(space, {TAU: 1.0, MARGIN: 0.0, "objective.schedule": "cosine"})
    assert not contains(space, {TAU: 1.0, MARGIN: 1.0})
    assert contains(space, {TAU: 0.1, MARGIN: 5.0, "objective.schedule": "constant"})
    assert not contains(space, {TAU: 10.0, MARGIN: 0.0})


@pytest.mark.parametrize(("low", "high", "log"), [(1, 1, False), (2, 1, False), (0, 1, True)])
def test_an_empty_range_is_refused(low, high, log):
    with pytest.raises(ValidationError, match="low < high"):
        Range(low=low, high=high, log=log)
