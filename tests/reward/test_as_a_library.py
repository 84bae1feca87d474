"""The verifier outside of studies: what docs/verifier.md shows is run here as other trainers run
it."""

import importlib.util
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs/verifier.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
RIGHT, WRONG, HANGING = "\\boxed{5+x}", "\\boxed{x+6}", "\\boxed{(900000!)^{900000}}"


@pytest.fixture
def shown(tmp_path, request):
    """A function that loads the page's example with a name, as verl loads a file."""
    loaded = []

    def load(name):
        (source,) = [block for block in BLOCKS if f"def {name}(" in block]
        assert len(source.splitlines()) <= 16
        path = tmp_path / f"{name}_file.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location("custom_module", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        loaded.append(module)
        return module

    yield load
    for module in loaded:
        module.verifier.close()


def test_the_first_example_prints_what_it_says():
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS[0]], capture_output=True, text=True, check=True
    )
    (said,) = re.findall(r"# (.*)$", BLOCKS[0], re.MULTILINE)
    assert done.stdout.strip() == said
    assert done.stderr == ""


def as_trl_asks(reward, completions, answers, **more):
    """The rewards, asked for by the keyword arguments of GRPOTrainer."""
    count = len(completions)
    return reward(
        prompts=["What?"] * count,
        completions=completions,
        completion_ids=[[1, 2]] * count,
        answer=answers,
        source=["a column of the data set"] * count,
        trainer_state=SimpleNamespace(global_step=3),
        **more,
    )


def test_trl_gets_numbers_and_none_for_texts_and_for_messages(shown):
    module = shown("math_reward")
    texts = [RIGHT, WRONG, "no box", RIGHT, "\\boxed{7}"]
    answers = ["x+5"] * 3 + ["((", "7"]
    expected = [1.0, 0.0, 0.0, None, 1.0]
    assert as_trl_asks(module.math_reward, texts, answers) == expected
    messages = [[{"role": "assistant", "content": text}] for text in texts]
    assert as_trl_asks(module.math_reward, messages, answers) == expected
    tool_call = [[{"role": "assistant", "content": None, "tool_calls": []}]]
    assert as_trl_asks(module.math_reward, tool_call, ["7"]) == [0.0]


def test_trl_can_log_the_verdicts(shown):
    logged = {}
    answers = ["x+5", "x+5", "(("]
    texts = [RIGHT, WRONG, RIGHT]
    as_trl_asks(shown("math_reward").math_reward, texts, answers, log_extra=logged.__setitem__)
    assert logged == {"verdict": ["correct", "wrong", "gold_bad"]}


def test_a_check_that_hangs_is_none_for_trl(shown, monkeypatch):
    module = shown("math_reward")
    monkeypatch.setattr(module.verifier, "_deadline_s", 0.5)
    rewards = as_trl_asks(module.math_reward, [HANGING], ["x+5"])
    assert rewards == [None]


def test_trl_itself_takes_the_rewards(shown):
    """By the method of its trainer that calls reward functions, without a model."""
    grpo_trainer = pytest.importorskip("trl.trainer.grpo_trainer")
    import torch

    reward = shown("math_reward").math_reward
    logged = {}
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(device="cpu", is_main_process=True),
        args=SimpleNamespace(report_to=[]),
        reward_funcs=[reward],
        reward_processing_classes=[None],
        reward_func_names=["math_reward"],
        state=SimpleNamespace(global_step=0),
        environments=None,
        _log_completion_extra=logged.__setitem__,
        _log_metric=lambda name, value: None,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grpo_trainer, "gather", lambda tensor: tensor)
        patch.setattr(grpo_trainer, "logger", SimpleNamespace(warning=lambda text: None))
        rewards = grpo_trainer.GRPOTrainer._calculate_rewards(
            trainer,
            [{"prompt": "What?", "answer": answer} for answer in ("x+5", "x+5", "((")],
            ["What?"] * 3,
            [RIGHT, WRONG, RIGHT],
            [[1]] * 3,
        )
    assert torch.equal(rewards.nan_to_num(-1.0), torch.tensor([[1.0], [0.0], [-1.0]]))


def as_verl_asks(module, gold, response):
    return module.compute_score(
        data_source="openai/gsm8k",
        solution_str=response,
        ground_truth=gold,
        extra_info={"index": 3, "split": "train"},
        reward_router_address=None,
    )


def test_verl_gets_a_score_with_what_explains_it(shown):
    module = shown("compute_score")
    assert as_verl_asks(module, "x+5", RIGHT) == {
        "score": 1.0,
        "decided": 1.0,
        "verdict": "correct",
        "answer": "5+x",
    }
    assert as_verl_asks(module, 7, "\\boxed{7}")["score"] == 1.0
    bad = as_verl_asks(module, "((", RIGHT)
    assert (bad["score"], bad["decided"], bad["verdict"]) == (0.0, 0.0, "gold_bad")
    assert type(bad["verdict"]) is str


def test_verl_may_call_from_eight_threads_at_once(shown):
    module = shown("compute_score")
    golds = ["x+5", "y^2", "\\frac{x}{2}", "7"]
    answers = ["5+x", "x+6", "y\\cdot y", "0.5x", "7", "((", "1,2"]
    pairs = [(gold, f"\\boxed{{{answer}}}") for gold in golds for answer in answers]
    alone = [as_verl_asks(module, *pair) for pair in pairs]
    assert sum(result["score"] for result in alone) == 4
    pids = module.verifier.pids
    with ThreadPoolExecutor(8) as threads:
        futures = [
            [threads.submit(as_verl_asks, module, *pair) for pair in pairs] for _ in range(8)
        ]
        results = [[future.result() for future in row] for row in futures]
    assert results == [alone] * 8
    assert module.verifier.pids == pids


def test_an_example_starts_no_process_until_a_formula_needs_one(shown):
    module = shown("compute_score")
    assert as_verl_asks(module, "7", "\\boxed{7}")["score"] == 1.0
    assert as_verl_asks(module, "(1, 2)", "\\boxed{(1,2)}")["score"] == 1.0
    assert module.verifier.pids == ()


def test_importing_and_using_it_loads_no_framework():
    code = (
        "import sys\n"
        "from conspo_study.reward import Verifier\n"
        "with Verifier() as verifier:\n"
        "    assert verifier.verify([('x+5', r'\\boxed{5+x}')])[0].reward == 1\n"
        "heavy = {'torch', 'ray', 'transformers', 'numpy', 'pandas', 'sympy', 'math_verify'}\n"
        "print(*sorted(heavy & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
