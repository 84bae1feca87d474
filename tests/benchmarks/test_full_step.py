"""Both sides of the comparison with TRL do the job they are given."""

from dataclasses import replace
from pathlib import Path

import full_step
import pytest
import step_job

from conspo_study.reward.verifier import Verifier
from conspo_study.training.engines import rollout_engines
from conspo_study.training.reference import reference_policies
from conspo_study.training.seed_run import SeedRun
from conspo_study.update.world import World


@pytest.fixture
def job(tiny_policy):
    small = step_job.Job(str(tiny_policy), "chain", "boxed", 2, 4, 20, warm_up=1, steps=2)
    return replace(small, problems=full_step.in_order(small))


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("7+5=12\n\\boxed{12}", True),
        ("\\boxed{3}\n\\boxed{12}", True),
        ("\\boxed{12}\n\\boxed{3}", False),
        ("12", False),
        ("\\boxed{-12}", False),
        ("\\boxed{12", False),
    ],
)
def test_the_last_boxed_integer_is_the_answer(text, right):
    assert step_job.last_boxed(text, "12") is right


def test_parity_rewards_half_of_all_texts_and_always_the_same():
    verdicts = [step_job.parity(f"w{index}", "0") for index in range(1000)]
    assert 400 < sum(verdicts) < 600
    assert verdicts == [step_job.parity(f"w{index}", "1") for index in range(1000)]


def test_a_job_and_what_is_told_of_it_survive_being_written(job, tmp_path):
    job.write(tmp_path / "job.json")
    again = step_job.Job.read(tmp_path / "job.json")
    assert replace(again, problems=job.problems) == job
    assert [tuple(pair) for pair in again.problems] == job.problems
    told = step_job.Told([0.5], [7], [0.25], [1.0])
    assert step_job.Told.read(f"noise of a library\n{told.line()}\n") == told


def test_the_problems_of_a_job_are_those_that_our_side_trains_on(job, tmp_path):
    config = full_step.configured(job)
    with Verifier(config.reward) as verifier, rollout_engines(config, tmp_path) as engine_of:
        judges, reference_of = (verifier, verifier), reference_policies(config, World())
        policy = Path(job.model)
        run = SeedRun(config, full_step.SEED, policy, judges, engine_of, reference_of, World())
    met = map(run.collector.stream.problem, range(len(job.problems)))
    assert [(problem.text, problem.answer) for problem in met] == job.problems
    assert len(job.problems) == 2 * 3


@pytest.mark.parametrize("rule", ["boxed", "parity"])
def test_our_side_tells_of_every_step(job, rule):
    told = full_step.ours(replace(job, rule=rule))
    check_told(told, job)
    assert all(share <= 1 for share in told.trained)


@pytest.mark.slow
def test_trl_tells_of_every_step(job, tmp_path):
    python = full_step.VENV / "bin" / "python"
    if not python.exists():
        pytest.skip("the environment with TRL has not been made")
    job.write(tmp_path / "job.json")
    script = Path(full_step.__file__).with_name("trl_grpo.py")
    told = full_step.told_by([python, script, tmp_path / "job.json"], {})
    check_told(told, job)
    assert told.trained == [1.0] * 3


def check_told(told, job):
    rollouts = job.prompts_per_step * job.group_size
    assert [len(column) for column in (told.seconds, told.tokens, told.rewards)] == [3] * 3
    assert all(seconds > 0 for seconds in told.seconds)
    assert all(rollouts <= tokens <= rollouts * job.limit for tokens in told.tokens)
    assert all((reward * rollouts).is_integer() for reward in told.rewards)


def test_a_side_that_fails_is_named_with_its_error():
    with pytest.raises(RuntimeError, match=r"(?s)-c ended with 3.*out of luck"):
        code = "import sys; print('out of luck', file=sys.stderr); sys.exit(3)"
        full_step.told_by([full_step.sys.executable, "-c", code], {})


def test_a_random_model_and_its_prompts_fit_each_other(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    shape = full_step.SMOLLM2 | {"vocab_size": 100, "num_hidden_layers": 1}
    full_step.random_model(tmp_path, shape)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert tokenizer("w7 w99 w1").input_ids == [7, 99, 1]
    assert tokenizer.decode([7, 99]) == "w7 w99"
    assert len(tokenizer) == model.config.vocab_size == 100
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == 0
