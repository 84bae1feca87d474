"""Trials too large for a GPU are refused with the largest items and settings that make them fit."""

import re

import pytest
from study_fixtures import definition

from conspo_study.config import parse_assignments, with_overrides
from conspo_study.definition import Anchor, Confirmation
from conspo_study.definition.lab_runs import LAB_RUNS
from conspo_study.definition.presets import EMBEDDED, PRESETS
from conspo_study.forecast.memory import estimate_memory
from conspo_study.forecast.memory.engine import engine_of
from conspo_study.forecast.memory.fit import memory_problems, memory_warnings, room
from conspo_study.forecast.plan import make_plan
from conspo_study.forecast.shapes import read_shape
from conspo_study.seeds import parse_seeds

GIB = 2**30
ONE_GPU = {"train.workers": 1, "train.sharding": "replicate"}
PRECISE = {"policy.precision": "float32"}
WITHOUT_VLLM = {"rollout.engine": "transformers", "rollout.vllm_colocated": False}


def paper(name, **changes):
    return with_overrides(PRESETS[f"paper/{name}"], changes)


def planned(run, gpu_bytes, **changes):
    fields = {
        "base": run,
        "space": {},
        "anchors": (Anchor(label="a", params={}),),
        "trials": 1,
        "metric": run.evaluation.main_metric,
    }
    return make_plan(definition(**{**fields, **changes}), 128, 8, gpu_bytes=gpu_bytes)


def test_three_seeds_of_1_5b_on_one_gpu_of_80_gib_by_hand():
    run = with_overrides(PRESETS["paper/qwen-1.5b"], ONE_GPU)
    weights = 1_777_088_000
    # Standing: 12 bytes x weights x 3 and the process; then 0.4 of 80 GiB for the engine.
    need = 5e8 + 12 * weights * 3 + 0.4 * 80 * GIB
    assert estimate_memory(run, 3, 80 * GIB).bytes == need
    assert need > 0.92 * 80 * GIB
    (problem,) = memory_problems(run, 3, 80 * GIB)
    assert problem.startswith(
        "a worker of a trial with 3 seeds needs about 98.8 GB of GPU memory while sampling (42.7 "
        "GB AdamW, 34.4 GB engine, 21.3 GB weights, 500 MB process), and of a GPU of 80 GiB (85.9 "
        "GB) it may take 79 GB: --seeds 0,1 or "
    )
    assert memory_problems(run, 2, 80 * GIB) == memory_problems(run, 1, 80 * GIB) == []


def test_without_vllm_the_benchmarks_of_32_samples_are_halved_until_they_fit():
    run = with_overrides(PRESETS["paper/qwen-1.5b"], WITHOUT_VLLM)
    # 11 of 83 problems of AMC x 32 samples; bfloat16 keys and values of 28 layers x 2 heads of
    # 128, and of one layer at work 12.
    cache = 352 * (4096 + 8192) * 2 * 2 * (28 * 2 + 12) * 128
    found = estimate_memory(run, 1, 80 * GIB)
    assert next(i.bytes for i in found.sampling if i.name == "keys and values") == cache
    assert cache > 150e9
    # 352 rows make way for 256, 176 for 128: four problems of 32 samples.
    assert memory_problems(run, 1, 80 * GIB) == []
    (said,) = memory_warnings(run, 1, 80 * GIB)
    assert said.startswith("sampling begins with 158 GB and decodes half as many rows whenever")
    assert said.endswith("what fits from the start: --set rollout.batch_rows=128")
    less = with_overrides(run, {"rollout.batch_rows": 128})
    found = estimate_memory(less, 1, 80 * GIB)
    assert next(i.bytes for i in found.sampling if i.name == "keys and values") == cache * 128 / 352
    assert found.bytes <= room(less, 80 * GIB) and list(memory_warnings(less, 1, 80 * GIB)) == []


@pytest.mark.parametrize(
    ("run", "seeds", "gib"),
    [
        (with_overrides(PRESETS["paper/qwen-1.5b"], ONE_GPU), 3, 80),
        (with_overrides(PRESETS["paper/llama-3b"], WITHOUT_VLLM | ONE_GPU), 2, 80),
        (PRESETS["paper/qwen-7b"], 3, 80),
        (PRESETS["paper/llama-8b"], 3, 80),
        (with_overrides(PRESETS["paper/qwen-7b"], ONE_GPU), 1, 80),
        (LAB_RUNS["lab/qwen2.5-1.5b-math"].config(80), 2, 40),
        (LAB_RUNS["lab/qwen2.5-1.5b-math"].config(24), 3, 24),
        (LAB_RUNS["lab/qwen2.5-0.5b-gsm8k"].config(40), 3, 24),
        (LAB_RUNS["lab/llama-3.2-1b-gsm8k"].config(24), 4, 24),
        (with_overrides(LAB_RUNS["lab/qwen3-0.6b-math"].config(), PRECISE), 2, 24),
    ],
)
def test_everything_that_a_refusal_says_to_type_makes_the_trial_fit(run, seeds, gib):
    (problem, *_) = memory_problems(run, seeds, gib * GIB)
    advice = problem.partition("it may take")[2].partition(": ")[2]
    options = [part for part in re.split(r" or ", advice.removesuffix(" it fit")) if "--" in part]
    assert options
    for option in options:
        words = option.removesuffix(" makes").removesuffix(" make").split()
        fewer = [words[i + 1] for i, word in enumerate(words) if word == "--seeds"]
        count = len(parse_seeds(fewer)) if fewer else seeds
        changes = parse_assignments(
            [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        )
        changed = with_overrides(run, changes)
        assert memory_problems(changed, count, gib * GIB) == [], option
        if changed.rollout.engine == "vllm":  # the other decodes as many rows as fit
            need = estimate_memory(changed, count, gib * GIB)
            assert need.bytes <= room(changed, gib * GIB), option


def test_what_no_setting_makes_fit_is_said_to_need_another_gpu():
    (problem, engine) = memory_problems(PRESETS["paper/qwen-32b"], 1, 80 * GIB)
    assert problem.endswith("no settings make it fit: use a larger GPU, or a smaller model")
    assert "its cache holds 0 tokens" in engine and "raise rollout.vllm_gpu_memory" in engine


def test_an_engine_whose_cache_holds_no_longest_response_is_refused():
    run = with_overrides(PRESETS["lab/qwen2.5-0.5b-gsm8k"], {"rollout.vllm_gpu_memory": 0.0407})
    # 0.0407 x 85.9 GB - 0.99 GB of weights - 2.5 GB = 8 MB, at 12,288 bytes a token.
    tokens = int((0.0407 * 80 * GIB - 2 * 494_032_768 - 2.5e9) / 12_288)
    assert 0 < tokens < 1024
    (problem,) = memory_problems(run, 2, 80 * GIB)
    assert f"its cache holds {tokens:,} tokens; the longest prompt with its response" in problem
    assert "takes 1,024: raise rollout.vllm_gpu_memory" in problem


@pytest.mark.parametrize(
    ("name", "at_once"), [("qwen-1.5b", 215), ("qwen-7b", 59), ("llama-8b", 24)]
)
def test_responses_in_the_cache_of_the_big_presets(name, at_once):
    """Of 80 decimal GB: 0.4 of them less weights and 2.5 GB, over 28,672, 57,344 or 131,072 bytes a
    token, over 4,000 tokens with a prompt of 200."""
    run = PRESETS[f"paper/{name}"]
    assert engine_of(run, read_shape(run.policy), 80e9).at_once == pytest.approx(at_once, abs=1)


def test_engines_on_gpus_of_their_own_are_held_against_those():
    own = {"rollout.vllm_colocated": False, "rollout.vllm_gpus": 2, "rollout.vllm_gpu_memory": 0.9}
    run = paper("llama-8b", **own)
    engine = engine_of(run, read_shape(run.policy), 80e9)
    assert engine.weights == 8_030_261_248  # 2 bytes, over two GPUs
    assert engine.tokens == int((0.9 * 80e9 - 8_030_261_248 - 2.5e9) / (2 * 2 * 32 * 8 * 128 / 2))
    assert engine_of(EMBEDDED, read_shape(EMBEDDED.policy), 80e9) is None


def test_a_gpu_of_unknown_size_refuses_nothing_and_says_so():
    run = with_overrides(PRESETS["paper/qwen-1.5b"], ONE_GPU)
    assert memory_problems(run, 3, None) == []
    said = " ".join(planned(run, None, seeds=(0, 1, 2)).lines(999))
    assert "compared with no GPU" in said and "--gpu-memory GIB names one" in said
    assert not [line for line in planned(EMBEDDED, None).lines() if line.startswith("fits")]


def test_a_trial_on_a_share_of_a_gpu_has_that_share():
    share = {"train.gpus_per_worker": 0.25, "rollout.vllm_gpu_memory": 0.1}
    run = with_overrides(LAB_RUNS["lab/smollm2-360m-gsm8k"].config(80), share)
    # 12 bytes x 361,821,120 x 2 stand; an update takes 6 GB more on 8,192 tokens: 16 of 19.8 GB.
    less = with_overrides(run, {"update.micro_batch_tokens": 8192})
    assert memory_problems(less, 2, 80 * GIB) == []
    assert room(less, 80 * GIB) == 0.92 * 80 * GIB / 4
    (problem,) = memory_problems(less, 3, 80 * GIB)
    assert "and of 0.25 of a GPU of 80 GiB (85.9 GB) it may take 19.8 GB: --seeds 0,1 or" in problem
    assert "--set train.gpus_per_worker=1" in problem
    said = " ".join(planned(less, 80 * GIB).lines(999))
    assert "on 0.25 of a GPU of 80 GiB (85.9 GB), of which 8% are to stay free (1.72 GB" in said


def test_the_plan_states_size_margin_and_what_is_spare():
    run = with_overrides(PRESETS["paper/qwen-1.5b"], ONE_GPU)
    plan = planned(run, 80 * GIB, seeds=(0,))
    spare = 0.92 * 80 * GIB - (5e8 + 12 * 1_777_088_000 + 0.4 * 80 * GIB)
    said = " ".join(plan.lines(999))
    assert (
        "on a GPU of 80 GiB (85.9 GB), of which 8% are to stay free (6.87 GB: fragments, other "
        f"programs): {spare / 1e9:.3g} GB to spare"
    ) in said
    assert plan.problems == ()
    (problem,) = planned(run, 80 * GIB, seeds=(0, 1, 2)).problems
    assert "98.8 GB" in problem


def test_a_confirmation_on_more_seeds_is_refused_on_its_own():
    run = with_overrides(PRESETS["paper/qwen-1.5b"], ONE_GPU)
    confirm = Confirmation(seeds=(7, 8, 9))
    (problem,) = planned(run, 80 * GIB, seeds=(0, 1), confirm=confirm).problems
    assert problem.startswith("of the confirmation, a worker of a trial with 3 seeds needs")
    assert ": --no-confirm or " in problem


def test_the_trial_that_needs_most_counts():
    slow = with_overrides(PRESETS["lab/qwen2.5-0.5b-gsm8k"], WITHOUT_VLLM)
    anchors = (
        Anchor(label="a", params={}),
        Anchor(label="long", params={"rollout.max_new_tokens": 4096}),
    )
    plan = planned(slow, 80 * GIB, anchors=anchors, trials=2)
    long = with_overrides(slow, {"rollout.max_new_tokens": 4096})
    assert plan.memory == estimate_memory(long, 2, 80 * GIB)
    assert any("trials with rollout.max_new_tokens=4096, which need" in n for n in plan.notes)
    assert plan.memory.bytes > estimate_memory(slow, 2, 80 * GIB).bytes


def test_quadratic_attention_and_a_small_cache_are_warned_of():
    run = with_overrides(PRESETS["lab/qwen2.5-0.5b-gsm8k"], {"policy.precision": "float32"})
    (said,) = memory_warnings(run, 2, 80 * GIB)
    assert said.startswith("attention keeps 14 heads x L x L scores")
    assert said.endswith("set policy.precision=bfloat16")
    eager = with_overrides(PRESETS["lab/qwen2.5-0.5b-gsm8k"], {"policy.attention": "eager"})
    assert [w.rpartition("set ")[2] for w in memory_warnings(eager, 2, None)] == [
        "policy.attention=sdpa"
    ]
    llama = PRESETS["paper/llama-8b"]
    (said,) = memory_warnings(llama, 1, 80 * GIB)
    assert said.startswith("the engine's cache holds 28 of the 352 responses")
    # One seed leaves 79 GB less 0.5, 12.05 of weights and AdamW and 16.06 of whole weights: 50.4.
    assert said.endswith("--set rollout.vllm_gpu_memory=0.55 fits, too, and holds 52")
    tokens = (0.55 * 80 * GIB - 2 * 8_030_261_248 - 2.5e9) // (2 * 2 * 32 * 8 * 128)
    assert tokens // 4200 == 52
    (said,) = memory_warnings(llama, 2, 80 * GIB)
    assert said.endswith("; the others wait"), "two seeds leave no more than it has"
    assert list(memory_warnings(EMBEDDED, 2, 80 * GIB)) == []


def test_main_memory_for_one_trial_is_refused_and_for_several_noted(monkeypatch):
    run = paper("qwen-7b")
    each = 5e8 + 4 * 7_615_616_512 + 4e9

    def memory_of(size):
        monkeypatch.setattr("conspo_study.forecast.memory.trials.usable_memory", lambda: int(size))
        return planned(run, 80 * GIB, seeds=(0,))

    assert memory_of(8 * each + 1).problems == ()
    (problem,) = memory_of(8 * each - 1e6).problems
    assert "a trial of 8 workers needs about 280 GB of main memory while it starts" in problem
    assert "30.5 GB each for the model while it is loaded" in problem
    # Without GPUs the plan is for another machine.
    monkeypatch.setattr("conspo_study.forecast.memory.trials.usable_memory", lambda: 1)
    here = make_plan(definition(base=run, metric=run.evaluation.main_metric), 64, 0)
    assert not [problem for problem in here.problems if "main memory" in problem]
