"""Imports the trainers of others beside this package.

The environment of `make integrations`: an older parser runtime than the one that is tested
elsewhere, since hydra demands it.
"""

from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec

import pytest

pytestmark = [
    pytest.mark.integrations,
    pytest.mark.skipif(
        not any(find_spec(name) for name in ("trl", "verl", "tinker")),
        reason="not in the environment of `make integrations`",
    ),
]
OF_OTHERS = [
    "trl.trainer.grpo_trainer",
    "verl.trainer.ppo.core_algos",
    "verl.trainer.ppo.ray_trainer",
    "verl.trainer.ppo.v1.trainer_base",
    "tinker.lib.public_interfaces.training_client",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("module", OF_OTHERS)
def test_a_trainer_is_imported(module):
    import_module(module)


def test_the_verifier_reads_formulas_with_hydra_s_parser_runtime():
    from conspo_study.records import Verdict
    from conspo_study.reward import Verifier

    assert version("antlr4-python3-runtime").startswith("4.9.")
    gold = r"\sqrt{2}"
    with Verifier() as verifier:
        right, wrong = verifier.verify(
            [(gold, r"\boxed{\frac{\sqrt{8}}{2}}"), (gold, r"\boxed{\frac{\sqrt{8}}{3}}")]
        )
    assert [right.verdict, wrong.verdict] == [Verdict.CORRECT, Verdict.WRONG]
