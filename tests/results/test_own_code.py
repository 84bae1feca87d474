"""The own code that a stored definition names is found, whatever else is in the definition."""

import json

import pytest

from conspo_study.results.own_code import missing_code_lines, own_modules
from conspo_study.watch.stored import read_stored

DEFINITION = {
    "plugins": ["registering"],
    "base": {
        "objective": {"name": "losses:GapHinge"},
        "reward": {"name": "math", "extra": {"rewards:short": 0.1}},
        "evaluation": {"reward": "judges:strict"},
    },
    "space": {"objective.name": {"values": ["grpo", "pkg.losses:Other"]}},
    "anchors": [
        {"label": "a", "params": {"reward.name": "rewards:tests", "reward.extra": {"x:y": 1}}}
    ],
}


def test_every_place_that_names_own_code_is_looked_at():
    assert own_modules(DEFINITION) == [
        *("registering", "losses", "pkg.losses", "rewards", "judges", "x"),
    ]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"plugins": 5, "base": [], "space": "x", "anchors": {"a": 1}},
        {"plugins": [1, None], "base": {"objective": "x", "reward": {"extra": []}}, "anchors": [1]},
        {"space": {"objective.name": {"values": {"a": "b"}}}, "anchors": [{"params": []}]},
    ],
)
def test_a_definition_that_makes_no_sense_names_none(odd):
    assert own_modules(odd) == [] == missing_code_lines(odd)


@pytest.mark.parametrize(
    "definition",
    [
        {"confirm": {"overrides": {"evaluation.reward": "mine:strict"}}},
        {"space": {"reward.extra": {"kind": "choice", "values": [{"mine:short": 0.1}]}}},
        {"anchors": [{"label": "a", "params": {"objective": {"name": "mine:Loss"}}}]},
    ],
)
def test_code_is_found_in_any_form_that_a_setting_can_have(definition):
    assert own_modules(definition) == ["mine"]


def test_prompts_and_labels_name_no_code():
    base = {"data": {"template": "Q:A", "system": "Answer:me"}}
    anchors = [{"label": "tau:low", "params": {"data.template": "Q:A"}}]
    assert own_modules({"base": base, "anchors": anchors}) == []


def test_what_is_not_here_is_told_once_and_nothing_is_imported(place):
    place("losses.py", "raise RuntimeError")
    (line,) = missing_code_lines({"plugins": ["nowhere"], **{"base": DEFINITION["base"]}})
    assert line.startswith("The modules nowhere, judges, rewards, whose code the study runs")
    assert missing_code_lines({"plugins": ["losses", "json"]}) == []


def test_the_page_says_so_too(tmp_path):
    definition = {"metric": "m", "trials": 2, "plugins": ["nowhere"]}
    text = json.dumps({"schema": 1, "definition": definition})
    (tmp_path / "study.json").write_text(text)
    assert "nowhere" in read_stored(tmp_path).missing_code[0]
