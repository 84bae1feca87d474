"""The packaged map: what it declares, whole and in pieces."""

import runpy

import pytest

from conspo_study.commands.pieces import piece_of
from conspo_study.commands.study_files import packaged_studies
from conspo_study.config import config_hash, with_overrides
from conspo_study.definition import StudyDefinition, confirmation_batch
from conspo_study.definition.presets import EMBEDDED, PRESETS
from conspo_study.results.strata import stratum_key


@pytest.fixture(scope="module")
def build():
    return runpy.run_path(str(packaged_studies()["regime_map"]))["regime_map"]


@pytest.fixture(scope="module")
def whole(build):
    return build(EMBEDDED)


def test_the_map_has_a_stratum_for_every_objective_and_e(whole):
    assert len(whole.anchors) == whole.trials == (21 + 3 * 23) * 3
    over = whole.confirm.best_over
    assert len({stratum_key(anchor.params, over) for anchor in whole.anchors}) == 21 + 3 * 23
    hashes = {config_hash(with_overrides(whole.base, a.params)) for a in whole.anchors}
    assert len(hashes) == whole.trials, "no two points are the same"
    assert not whole.looks
    assert not set(whole.confirm.seeds) & set(whole.seeds)


def test_e_counts_optimiser_steps_and_rates_are_multiples_of_the_presets(whole):
    for anchor in whole.anchors:
        run = with_overrides(whole.base, anchor.params)
        steps = run.update.mini_batches * run.update.epochs_per_batch
        assert f", E{steps}, " in anchor.label
    rates = {anchor.params["update.learning_rate"] for anchor in whole.anchors}
    assert rates == {1e-4, 3e-4, 6e-4}


def test_the_pieces_are_the_columns_of_the_map(whole):
    pieces = [piece_of(whole, [(f"E{steps}",)]) for steps in (1, 4, 8, 16)]
    studies = [StudyDefinition.model_validate({**whole.frozen(), **piece}) for piece in pieces]
    assert [len(study.anchors) for study in studies] == [63, 69, 69, 69]
    assert [confirmation_batch(study).trials for study in studies] == [21, 23, 23, 23]
    assert [study.name for study in studies] == [f"regime_map_E{n}" for n in (1, 4, 8, 16)]


@pytest.mark.parametrize("preset", ["quick", "smollm2", "lab/qwen2.5-0.5b-gsm8k"])
def test_other_presets_have_the_map_at_their_own_learning_rate(build, preset):
    study = build(PRESETS[preset])
    own = PRESETS[preset].update.learning_rate
    rates = sorted({anchor.params["update.learning_rate"] for anchor in study.anchors})
    assert rates == pytest.approx([own / 3, own, own * 2], rel=0.01)
