"""Settings from TOML, YAML and JSON files are those that `--set` would give."""

import json

import pytest

from conspo_study.config import ConfigError, parse_assignments
from conspo_study.config.setting_files import MOST, read_settings

SETTINGS = {
    "objective.tau": 0.5,
    "objective.schedule": "off",
    "update.learning_rate": 1e-4,
    "rollout.group_size": 8,
    "evaluation.sets": ["chain/hard", "chain/easy"],
    "reward.extra": {"my_rewards:is_formatted": 0.2},
}
TOML = """
[objective]
tau = 0.5
schedule = "off"
[update]
learning_rate = 1e-4
[rollout]
group_size = 8
[evaluation]
sets = ["chain/hard", "chain/easy"]
[reward]
extra = {"my_rewards:is_formatted" = 0.2}
"""
YAML = """
objective:
  tau: 0.5
  schedule: "off"
update.learning_rate: 1e-4   # text, to YAML
rollout: {group_size: 8}
evaluation:
  sets: [chain/hard, chain/easy]
reward:
  extra: {"my_rewards:is_formatted": 0.2}
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", TOML),
        ("a.yaml", YAML),
        ("a.YML", YAML),
        ("a.json", json.dumps(SETTINGS)),
        ("b.toml", "\ufeff" + TOML),
    ],
)
def test_every_format_gives_the_same_settings(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    assert read_settings(path) == SETTINGS


def test_words_are_read_as_those_of_set(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("evaluation:\n  final_problems: none\n  tracked: chain/hard\n", "utf-8")
    typed = parse_assignments(["evaluation.final_problems=none", "evaluation.tracked=chain/hard"])
    assert (
        read_settings(path)
        == typed
        == {
            "evaluation.final_problems": None,
            "evaluation.tracked": ["chain/hard"],
        }
    )


def test_words_that_old_yaml_takes_for_truth_are_words(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "objective: {schedule: off}\ndata: {chat: off}\nrollout: {ahead: true}\n", "utf-8"
    )
    assert read_settings(path) == {
        "objective.schedule": "off",
        "data.chat": "off",
        "rollout.ahead": True,
    }


def test_a_stage_without_settings_sets_none(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("objective:\n  # tau: 0.5\ntrain: {steps: 3}\n", "utf-8")
    assert read_settings(path) == {"train.steps": 3}


def test_parameters_of_a_function_stand_alone(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("lr = 0.1\n", "utf-8")
    assert read_settings(path) == {"lr": 0.1}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.toml", None, "cannot be read: No such file"),
        ("a.ini", b"x", "ends in .toml, .yaml, .yml, .json"),
        ("a.toml", b"[objective\n", "a.toml: "),
        ("a.yaml", b"a: [1\n", "a.yaml: "),
        ("a.json", b"{", "a.json: "),
        ("a.json", b"[1]", "holds no settings"),
        ("a.yaml", b"", "holds no settings"),
        ("a.yaml", b"1: 2", "1 is no name of a setting"),
        ("a.toml", b"\xff\xfe", "a.toml: "),
        ("a.json", b'{"tau ": "1"}', "is no name of a setting"),
        ("a.json", b'{"a=b": "1"}', "is no name of a setting"),
        ("a.json", b"[" * 100_000, "a.json: "),
        ("a.json", b'{"objective": {"tau": 1}, "objective.tau": 2}', "objective.tau is set twice"),
        ("a.yaml", b"x: !!python/object/apply:os.system ['true']", "a.yaml: "),
        ("a.toml", b"#" * (MOST + 1), "larger than"),
    ],
)
def test_what_holds_no_settings_is_refused_by_name(tmp_path, name, content, says):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read_settings(path)
    assert says in str(refused.value) and name in str(refused.value)
