"""The lines of the pages about other trainers, typed as they stand."""

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from exact_models import exact_model

PAGES = Path(__file__).resolve().parents[2] / "docs" / "integrations"


def lines_of(page):
    """The only example of a page in Python."""
    (text,) = re.findall(r"^```python\n(.*?)^```$", (PAGES / page).read_text(), re.S | re.M)
    return text


def installed(name):
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is missing")


def test_credits():
    given = {}
    exec(lines_of("README.md"), given)
    credits = given["c"]
    assert credits[3:].tolist() == [0, 0]
    assert credits.sum() == pytest.approx(0)
    np.testing.assert_allclose(given["advantages"], 5 * credits)
    # Lemma 2 by hand, at a quarter of training: m = M/2 (1 - cos(pi/1.2)).
    margin = 0.01 / 2 * (1 - np.cos(np.pi * 0.25 / 0.3))
    rival = np.exp(-1.1 / 0.5) + np.exp(-0.9 / 0.5)
    own = np.exp((-0.8 - margin) / 0.5)
    assert credits[0] == pytest.approx(rival / (own + rival))


@pytest.mark.integrations
@installed("trl")
def test_trl(tmp_path):
    from trl_runs import words_tokenizer

    exact_model("Llama").float().save_pretrained(tmp_path / "model")
    words_tokenizer().save_pretrained(tmp_path / "model")
    short = "max_steps=1, max_completion_length=4, use_cpu=True, report_to='none', "
    text = lines_of("trl.md").replace('"Qwen/Qwen2.5-0.5B"', repr(str(tmp_path / "model")))
    text = text.replace('output_dir="out"', f"{short}output_dir={str(tmp_path / 'out')!r}")
    given = {}
    exec(text, given)
    trainer = given["trainer"]
    assert trainer.state.global_step == 1
    assert trainer.objective.tau == 0.5
    assert trainer.objective.margin == 0.1
    assert trainer.state.log_history


@pytest.mark.integrations
@installed("tinker")
def test_tinker():
    from tinker import types
    from tinker_server import CORRECT, GROUP, PROMPTS, RESPONSES, asked

    sent = []

    class Client:
        def forward_backward_custom(self, data, loss_fn):
            found, _ = asked(exact_model("Llama"), data, loss_fn)
            sent.append(found)
            return SimpleNamespace(result=lambda: found)

        def optim_step(self, parameters):
            assert isinstance(parameters, types.AdamParams)
            return SimpleNamespace(result=lambda: None)

    given = {
        "torch": torch,
        "types": types,
        "rollouts": list(zip(PROMPTS, RESPONSES, strict=True)),
        "correct": CORRECT,
        "group": GROUP,
        "step": 3,
        "steps": 10,
        "training_client": Client(),
    }
    exec(lines_of("tinker.md"), given)
    assert given["result"].metrics["valid_groups"] == 2
    assert sum(one.loss_fn_inputs["weights"].to_torch().any() for one in sent[0].data) == 5
