"""Messages of settings say where, what, and what to type."""

import pytest

from conspo_study.config import ConfigError, RunConfig, parse_assignments, with_overrides
from conspo_study.definition.presets import EMBEDDED
from conspo_study.seeds import parse_seeds


def told(*assignments, defaults=None):
    with pytest.raises(ConfigError) as caught:
        with_overrides(EMBEDDED, parse_assignments(assignments), defaults)
    return caught.value.problems


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("policy.lora_targets=q_proj", ("q_proj",)),
        ("policy.lora_targets=q_proj,v_proj", ("q_proj", "v_proj")),
        ("policy.lora_targets=[q_proj, v_proj]", ("q_proj", "v_proj")),
        ('policy.lora_targets=["q_proj"]', ("q_proj",)),
        ("evaluation.tracked=chain/easy", ("chain/easy",)),
        ("update.importance_cap=None", None),
        ("update.importance_cap=none", None),
        ("update.importance_cap=null", None),
        ("update.importance_cap=2", 2.0),
        ("data.folder=None", None),
        ("data.folder=2024", "2024"),
        ("policy.model=2024", "2024"),
        ("policy.model=true", "true"),
        ("policy.model=None", "None"),
        ('policy.model="a/b"', "a/b"),
        ("policy.trust_remote_code=True", True),
        ("policy.trust_remote_code=yes", True),
        ("policy.trust_remote_code=off", False),
        ("rollout.group_size=8.0", 8),
        ("data.template={problem}", "{problem}"),
    ],
)
def test_what_people_type_is_taken_as_the_setting_needs_it(assignment, value):
    overrides = parse_assignments([assignment])
    stage, _, field = assignment.partition("=")[0].partition(".")
    assert getattr(getattr(with_overrides(EMBEDDED, overrides), stage), field) == value


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("update.importance_cap=x", "takes a number greater than 0, or null for none"),
        ("update.importance_cap=-1", "should be greater than 0"),
        ("policy.trust_remote_code=maybe", "takes true or false"),
        ("rollout.group_size=2.5", "takes a whole number greater than or equal to 2, such as 16"),
        ("rollout.group_size=", "takes a whole number"),
        ("update.beta1=1.0", "should be greater than or equal to 0 and less than 1"),
        ("update.beta1=nan", "finite number"),
        ("rollout.engine=vlm", "should be 'transformers' or 'vllm' (did you mean vllm?)"),
        ("evaluation.split=tset", "(did you mean test?)"),
        ("evaluation.samples_of=3", 'takes a mapping, such as {"name": 1}'),
        ('evaluation.samples_of={"a":"x"}', "'a' should be a valid integer"),
        ("update.lr=1e-3", "update.lr: unknown setting (did you mean update.learning_rate?)"),
        ("lr=1e-3", "did you mean update.learning_rate?"),
        ("train.batch_size=8", "did you mean rollout.prompts_per_step?"),
        ("rollout.num_generations=8", "did you mean rollout.group_size?"),
        ("evaluation.n=8", "did you mean evaluation.samples?"),
        ("evaluation.max_tokens=8", "did you mean evaluation.max_new_tokens?"),
        ("rollout.max_completion_length=8", "did you mean rollout.max_new_tokens?"),
        ("objective.temperature=1", "did you mean objective.tau?"),
        ("objective.beta=1", "unknown setting of the objective conspo; it belongs to dro"),
        ("objective.cap=1", "objective.ratio_cap is a setting of cispo"),
        (
            "objective.clip_high=1",
            "unknown setting of the objective conspo; it belongs to conspo_c",
        ),
        ("train.seed=1", "did you mean the option --seeds?"),
        ("dataset=x", "did you mean evaluation.sets?"),
        ("data.dataset=x", "did you mean data.train?"),
        ("model=x", "did you mean policy.model?"),
        ("update.epochs=2", "did you mean update.epochs_per_batch?"),
        ("policy=x", "policy: unknown setting: it is a group of settings, such as policy.model"),
        ("rollout.engine=v\x1b[31mllm", r"v\x1b[31mllm"),
        ("ro\x1bllout.engine=vllm", r"ro\x1bllout.engine: unknown setting"),
    ],
)
def test_a_message_says_what_to_type(assignment, message):
    (problem,) = told(assignment)
    assert message in problem
    assert "Input" not in problem
    assert problem.isprintable()


def test_values_from_python_are_not_guessed_at():
    for overrides, message in (
        ({"evaluation.sets": "aime24"}, 'takes a list, such as ["aime24"]'),
        ({"policy.model": 2024}, 'takes text: write "2024"'),
        ({"policy.model": None}, "policy.model = None: takes text"),
        ({"evaluation.sets": [1, 2]}, "item 1 should be a valid string"),
        ({"data.template": "x" * 500}, "...: template must contain {problem}"),
    ):
        with pytest.raises(ConfigError) as caught:
            with_overrides(RunConfig(), overrides)
        (problem,) = caught.value.problems
        assert message in problem
        assert len(problem) < 300


def test_a_study_s_own_default_is_named_as_such():
    (problem,) = told("objective.name=grpo", defaults={"objective.margin_unit": "tau"})
    assert "objective.margin_unit: unknown setting of the objective grpo" in problem
    assert "This study sets it by default" in problem
    (typed,) = told("objective.name=grpo", "objective.margin_unit=tau", defaults={})
    assert "This study" not in typed


def test_seeds_are_typed_with_blanks_or_commas():
    assert parse_seeds(["0", "1", "2"]) == parse_seeds(["0,1,2"]) == (0, 1, 2)
    with pytest.raises(ValueError, match="'a' is not a whole number: write 0 1 2"):
        parse_seeds(["0,a"])
