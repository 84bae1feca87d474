"""A study knows which weights it trains, and goes on with no others."""

import json

import pytest
from study_fixtures import TAU, definition
from tiny_models import random_model

from conspo_study.cluster.failures import lasting_cause
from conspo_study.cluster.trial import _models_at_start
from conspo_study.cluster.trial_spec import TrialSpec
from conspo_study.config import PolicyConfig, with_overrides
from conspo_study.data.word_problems import NAMES
from conspo_study.definition import Anchor
from conspo_study.definition.presets import PRESETS, QUICK, SMOLLM2
from conspo_study.definition.space import Choice
from conspo_study.forecast.costs import checkpoint_bytes
from conspo_study.forecast.plan import make_plan
from conspo_study.policy.embedded import embedded_tokenizer
from conspo_study.policy.models import AnotherModelError, model_hashes, refuse_another_model
from conspo_study.records import StudyError
from conspo_study.results.folder import read_definition
from conspo_study.study import Study


@pytest.fixture(autouse=True)
def not_launched(monkeypatch):
    monkeypatch.setattr("conspo_study.cluster.launch.launch", lambda *_: False)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "model"
    random_model("Llama").save_pretrained(path)
    embedded_tokenizer().save_pretrained(path)
    return path


def study(folder, **changes):
    base = with_overrides(QUICK, {"policy.model": str(folder)})
    return definition(Study, base=base, **changes)


def test_the_model_is_part_of_what_a_study_records(tmp_path, folder):
    study(folder).run(tmp_path)
    found = model_hashes([PolicyConfig(model=str(folder))])
    (name,) = found
    assert name == f"policy.model {folder}"
    assert read_definition(tmp_path / "test")["data"][name] == found[name]
    assert json.loads((tmp_path / "test/snapshot.json").read_text())["data"][name] == found[name]


def test_other_weights_in_the_same_folder_are_refused_on_resume(tmp_path, folder):
    study(folder).run(tmp_path)
    study(folder).run(tmp_path, resume=True)
    random_model("Llama", seed=1).save_pretrained(folder)
    with pytest.raises(StudyError, match=rf"policy.model {folder} has another content"):
        study(folder).run(tmp_path, resume=True)
    study(folder).run(tmp_path, resume=True, allow_changes=True)
    (change,) = read_definition(tmp_path / "test")["changes"]
    assert str(folder) in change


def test_every_model_that_a_trial_may_name_is_recorded(tmp_path, folder):
    other = tmp_path / "other"
    random_model("Qwen2").save_pretrained(other)
    embedded_tokenizer().save_pretrained(other)
    anchor = Anchor(label="other", params={TAU: 1.0, "policy.model": str(other)})
    space = {**definition().space, "policy.model": Choice(values=(str(folder), str(other)))}
    study(folder, anchors=(anchor,), space=space).run(tmp_path)
    names = {n for n in read_definition(tmp_path / "test")["data"] if n.startswith("policy.")}
    assert names == {f"policy.model {folder}", f"policy.model {other}"}


def test_a_model_that_is_not_there_is_an_error_before_anything_starts(tmp_path):
    with pytest.raises(StudyError, match=r"no config\.json"):
        study(tmp_path / "nowhere").run(tmp_path)
    assert not (tmp_path / "test").exists()


def test_a_worker_refuses_another_model_than_the_study_began_with_for_good(tmp_path, folder):
    study(folder).run(tmp_path)
    spec = TrialSpec("test", "t0000", {}, (0,), "m", "max", {}, str(tmp_path / "test"))
    policy = PolicyConfig(model=str(folder))
    refuse_another_model(policy, _models_at_start(spec))
    random_model("Llama", seed=1).save_pretrained(folder)
    with pytest.raises(AnotherModelError, match="another model on this machine") as error:
        refuse_another_model(policy, _models_at_start(spec))
    assert "another model" in lasting_cause(error.value)


def test_the_embedded_model_and_trials_without_a_study_pass(tmp_path):
    assert model_hashes([PolicyConfig()]) == {}
    spec = TrialSpec("test", "t0000", {}, (0,), "m", "max", {}, str(tmp_path))
    assert _models_at_start(spec) == {}
    refuse_another_model(PolicyConfig(), {})


def test_trusting_code_is_loud_in_the_plan(folder):
    base = with_overrides(QUICK, {"policy.model": str(folder), "policy.trust_remote_code": True})
    said = "\n".join(make_plan(definition(base=base), 2, 0).lines(999))
    assert f"CODE FROM {folder} IS RUN" in said
    assert "CODE" not in "\n".join(make_plan(definition(), 2, 0).lines(999))


def test_checkpoints_of_adapters_are_planned_by_their_own_size(folder):
    run = with_overrides(QUICK, {"policy.model": str(folder)})
    # Per layer q and o 64x32, k and v 32x32, three 48x32; bytes of weights and two averages.
    each = 2 * (64 + 32) + 2 * (32 + 32) + 3 * (48 + 32)
    adapters = with_overrides(run, {"policy.lora_rank": 3})
    assert checkpoint_bytes(adapters, 2) == 2 * 12 * 3 * 2 * each
    some = with_overrides(adapters, {"policy.lora_targets": ["q_proj"]})
    assert checkpoint_bytes(some, 1) == 12 * 3 * 2 * 96
    total = sum(p.numel() for p in random_model("Llama").parameters())
    assert checkpoint_bytes(run, 1) == 12 * total


def test_the_examples_of_the_smollm2_preset_are_right_and_of_other_people():
    assert PRESETS["smollm2"] is SMOLLM2
    *examples, asked = SMOLLM2.data.template.split("\n\n")
    assert asked == "{problem}\n" and len(examples) == 2
    for example in examples:
        question, calculation, boxed = example.split("\n")
        left, right = calculation.split(" = ")
        a, sign, b = left.split()
        assert question.index(a) < question.index(b)
        value = {"+": int(a) + int(b), "*": int(a) * int(b)}[sign]
        assert int(right) == value and boxed == f"\\boxed{{{value}}}"
        assert not any(f" {name} " in f" {question}" for name in NAMES)
