"""The paper's runs have its published settings, and say what is ours."""

import importlib
from pathlib import Path

import pytest
from study_fixtures import definition

from analysis.load.published import published_results
from conspo_study.config import ConfigError, flatten, with_overrides
from conspo_study.definition.paper_runs import OURS, PAPER_RUNS
from conspo_study.definition.presets import PRESETS
from conspo_study.forecast.known_models import KNOWN_MODELS
from conspo_study.forecast.responses import MEAN_LENGTH

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted(path.stem for path in (ROOT / "studies").glob("*.py"))
TRAINING = {"deepscaler": "DeepScaleR-Preview", "dapo-math-17k": "DAPO-Math-17k"}


def test_every_row_group_of_the_tables_has_its_preset():
    published = {(r.table, r.model, r.train_data) for r in published_results() if r.train_data}
    ours = {
        (table, run.model.partition("/")[2], TRAINING[run.train])
        for run in PAPER_RUNS.values()
        for table in run.tables
    }
    assert ours == published
    assert PAPER_RUNS.keys() <= PRESETS.keys()


@pytest.mark.parametrize("name", PAPER_RUNS)
def test_the_published_settings(name):
    config, model = PRESETS[name], PAPER_RUNS[name].model
    distilled = "R1-Distill" in model
    objective, evaluation = config.objective, config.evaluation
    assert (objective.name, objective.tau, objective.target_margin) == ("conspo", 10.0, 0.01)
    assert (objective.schedule, objective.alpha) == ("cosine", 0.3)
    assert config.update.learning_rate == 2e-6
    assert config.rollout.temperature == 1.0
    limit = 8192 if distilled else 4096
    assert config.rollout.max_new_tokens == evaluation.max_new_tokens == limit
    assert (evaluation.every, evaluation.temperature, evaluation.top_p) == (100, 0.6, 0.95)
    measured = {r.benchmark.lower(): r.metric for r in published_results() if r.metric != "mean"}
    kinds = {32: "avg@32", 1: "pass@1"}
    assert {n: kinds[evaluation.samples_for(n)] for n in evaluation.sets} == measured
    assert not evaluation.greedy and evaluation.problems_per_set >= 675


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("paper/qwen-1.5b", 1260),  # 4 x 40315 / 128 = 1259.8
        ("paper/qwen3-4b", 630),  # 2 x 40315 / 128 = 629.9
        ("paper/qwen-1.5b-dapo", 544),  # 4 x 17398 / 128 = 543.7
        ("paper/qwen-32b", 630),
    ],
)
def test_steps_visit_every_problem_as_often_as_published(name, steps):
    assert PRESETS[name].train.steps == PAPER_RUNS[name].steps == steps


def test_every_setting_is_published_or_ours():
    run = PAPER_RUNS["paper/qwen-1.5b"]
    origins = run.origins(run.config)
    assert origins.keys() == flatten(run.config).keys()
    assert origins["objective.tau"] == origins["policy.model"] == "published"
    assert {origins[path] for path in OURS} == {"ours"}
    assert origins["update.beta2"] == "ours", "a default is our choice, too"
    assert origins["train.steps"] == "ours; 4 epochs, published"


def test_a_published_setting_that_is_changed_is_ours():
    run = PAPER_RUNS["paper/qwen-1.5b"]
    changed = with_overrides(run.config, {"objective.tau": 1.0, "train.steps": 5})
    origins = run.origins(changed)
    assert origins["objective.tau"] == origins["train.steps"] == "ours"
    assert origins["objective.alpha"] == "published"


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_can_be_declared_on_a_paper_run(study):
    build = getattr(importlib.import_module(f"studies.{study}"), study)
    declared = build(PRESETS["paper/qwen-7b"])
    assert declared.metric == "eval/aime24/avg@32"
    assert declared.base.policy.model == "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"


def test_every_paper_run_has_a_cost():
    for run in PAPER_RUNS.values():
        assert run.model in KNOWN_MODELS and run.limit in MEAN_LENGTH


def test_named_sets_can_be_fewer_than_the_preset_measures():
    few = with_overrides(PRESETS["paper/qwen-1.5b"], {"evaluation.sets": ("math500",)})
    assert few.evaluation.main_metric == "eval/math500/avg@1"


def test_a_base_may_be_the_name_of_a_preset():
    assert definition(base="quick").base == PRESETS["quick"]
    with pytest.raises(ConfigError, match=r"unknown preset 'quik' \(did you mean quick\?\)"):
        definition(base="quik")
