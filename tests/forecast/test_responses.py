"""Responses of evaluations, counted by hand."""

from conspo_study.config import config_hash, with_overrides
from conspo_study.definition.presets import QUICK
from conspo_study.forecast.responses import Draw, draws, evaluated_last, evaluated_per_run

SETTINGS = {
    "train.steps": 40,
    "evaluation.every": 10,
    "evaluation.sets": ["chain/easy", "chain/hard"],
    "evaluation.tracked": ["chain/hard"],
    "evaluation.problems_per_set": 50,
    "evaluation.samples": 8,
}
RUN = with_overrides(QUICK, SETTINGS)
MORE = with_overrides(RUN, {"evaluation.final_problems": 1000})


def test_the_last_evaluation_of_tracked_sets_counts_with_its_own_number():
    # Before training, three times between, and after it; each problem also once greedily.
    assert evaluated_per_run(RUN) == (2 * 50 + 5 * 50) * 9
    assert evaluated_per_run(MORE) == (2 * 50 + 4 * 50 + 1000) * 9
    assert evaluated_last(MORE) == (50 + 1000) * 9


def test_calls_of_an_engine_are_told_apart_by_their_size():
    sampled = [draw for draw in draws(MORE) if draw.samples == 8]
    limit = MORE.evaluation.max_new_tokens
    assert sampled == [
        Draw("chain/easy", 50, 8, limit, 2),
        Draw("chain/hard", 50, 8, limit, 4),
        Draw("chain/hard", 1000, 8, limit, 1),
    ]


def test_the_setting_changes_no_hash_of_a_configuration_without_it():
    assert "final_problems" not in RUN.model_dump(mode="json")["evaluation"]
    assert config_hash(MORE) != config_hash(RUN)
    assert config_hash(with_overrides(MORE, {"evaluation.final_problems": None})) == config_hash(
        RUN
    )
