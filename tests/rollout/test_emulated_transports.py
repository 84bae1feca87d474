"""Weights reach a real vLLM engine as they do on GPUs; only what carries them is emulated."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_models import random_model
from tolerances import rounding, terms_of

pytestmark = pytest.mark.vllm

SCRIPT = Path(__file__).resolve().parents[1] / "support" / "emulated_transports.py"
MODELS = [("Llama", "tied"), ("Qwen2", "untied"), ("Qwen3", "tied"), ("Llama", "adapted")]
LARGEST = 16.0
"""Largest log-probability of a token of these models, in nats."""
ALLOWED = rounding(terms_of(random_model("Llama", hidden_size=128, head_dim=32), 24), LARGEST)


def told(scratch, *arguments):
    """What the run came to, line by line."""
    kind, family, tied, *left_out = arguments
    done = subprocess.run(
        [sys.executable, str(SCRIPT), kind, family, tied, str(scratch), *left_out],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "CONSPO_STUDY_CACHE": str(scratch / "cache")},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0 and lines, done.stdout[-3000:] + done.stderr[-3000:]
    return lines


@pytest.mark.parametrize(("family", "tied"), MODELS)
@pytest.mark.parametrize("kind", ["shared", "broadcast"])
def test_the_engine_samples_from_the_trainer_s_weights(kind, family, tied, tmp_path):
    *draws, end = told(tmp_path, kind, family, tied)
    assert [draw["versions"] for draw in draws] == [[0], [1], [1], [1]], (draws, end)
    assert all(draw["gap"] < ALLOWED for draw in draws), draws
    counts = {name: end["asked"].count(name) for name in end["asked"]}
    sent = 3 if kind == "shared" else 2  # after a rest they are sent again
    assert counts["init_weight_transfer"] == 1
    assert counts["start_weight_update"] == counts["finish_weight_update"] == sent
    # By handles in chunks; layers lie across them.
    assert (counts["update_weights"] > 2 * sent) == (kind == "shared")
    assert counts.get("sleep", 0) == (2 if kind == "shared" else 0)


@pytest.mark.parametrize(
    ("kind", "left_out", "message"),
    [
        ("shared", "model.layers.1.mlp.down_proj.weight", "sent no weights for 1 parameters"),
        ("broadcast", "model.norm.weight", "sent no weights for 1 parameters"),
        ("shared", "model.layers.0.self_attn.q_proj.weight", "only a part of the weights for 1"),
        ("broadcast", "model.layers.1.mlp.up_proj.weight", "only a part of the weights for 1"),
        ("broadcast", "model.embed_tokens.weight", "sent no weights for 1 parameters"),
    ],
)
def test_an_update_that_leaves_out_weights_is_refused(kind, left_out, message, tmp_path):
    (end,) = told(tmp_path, kind, "Llama", "untied", left_out)
    assert message in end["error"], end
