"""A sampler that computes something else than the trainer stops a trial at its first update."""

import pytest
import training_runs

from conspo_study.config import with_overrides
from conspo_study.definition.presets import QUICK
from conspo_study.rollout.transformers_engine import TransformersEngine
from conspo_study.training.mismatch import refuse_absurd_mismatch
from conspo_study.training.prepare import prepare_policy
from conspo_study.update.errors import MismatchError


def checked(mean, most, **settings):
    config = with_overrides(QUICK, {k.replace("__", "."): v for k, v in settings.items()})
    refuse_absurd_mismatch(config, {"mismatch_abs": mean, "mismatch_max": most})


HALF = {"policy__precision": "bfloat16"}
VLLM = {"rollout__engine": "vllm"}


@pytest.mark.parametrize(
    ("mean", "most", "settings"),
    [
        (1e-6, 1e-4, {}),
        (1e-5, 0.09, VLLM),
        (1e-5, 0.5, VLLM | {"update__mismatch_limit": 1}),  # a token that went to another expert
        (0.02, 30.0, HALF | {"update__mismatch_limit": 40}),
        (0.02, 3.0, HALF),
        (0.05, 8.0, VLLM | {"rollout__vllm_dtype": "bfloat16"}),
        (float("nan"), float("nan"), {}),  # a diverged policy is told elsewhere
    ],
)
def test_rounding_is_no_mismatch(mean, most, settings):
    checked(mean, most, **settings)


@pytest.mark.parametrize(
    ("mean", "most", "settings"),
    [
        (2.9, 13.6, {}),
        (0.001, 0.2, {}),
        (0.05, 0.5, {"update__mismatch_limit": 1}),  # the mean is what it is
        (0.02, 3.0, HALF | {"update__mismatch_limit": 2}),
        (0.05, 0.5, VLLM),
        (1.5, 13.6, HALF),
        (0.02, 3.0, {"rollout__vllm_dtype": "bfloat16"}),  # of an engine that does not run
    ],
)
def test_what_no_rounding_gives_is_told_with_its_numbers(mean, most, settings):
    with pytest.raises(
        MismatchError, match=rf"differ by {mean:.3g} nats .* and {most:.3g} at most"
    ):
        checked(mean, most, **settings)


def test_a_step_without_groups_has_nothing_to_compare():
    refuse_absurd_mismatch(QUICK, {})


def test_a_trial_ends_when_its_sampler_draws_from_another_distribution(tmp_path, monkeypatch):
    real = TransformersEngine._decoder
    monkeypatch.setattr(
        TransformersEngine, "_decoder", lambda engine, capacity: _Sharp(real(engine, capacity))
    )
    with pytest.raises(MismatchError, match=r"^sampler \(transformers\) and trainer"):
        training_runs.run(tmp_path, prepare_policy(QUICK.policy), seeds=(0,))


class _Sharp:
    """A decoder whose logits are half as large again."""

    def __init__(self, decoder):
        self._decoder = decoder

    def __getattr__(self, name):
        return getattr(self._decoder, name)

    def read(self, prompts):
        return 1.5 * self._decoder.read(prompts)

    def step(self, tokens):
        return 1.5 * self._decoder.step(tokens)
