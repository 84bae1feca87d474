"""Every rule of the doctor: what it finds and from which step, and what it leaves alone."""

import pytest

from conspo_study.doctor import RULES, metrics_of
from conspo_study.doctor.series import HOLD, WINDOW

FIND = {rule.name: rule.find for rule in RULES}
STEPS = 40
TURN = 20
"""The step from which an ill run is ill."""


def run(config=None, **metrics):
    """Rows of one seed; a metric is a number, or a function of the step."""
    rows = [
        {"step": step, **{n: m(step) if callable(m) else m for n, m in metrics.items()}}
        for step in range(1, STEPS + 1)
    ]
    return metrics_of(rows), config or {}


def from_turn(before, after):
    """A metric that changes at `TURN`."""
    return lambda step: before if step < TURN else after


SET_IN = TURN + WINDOW // 2
"""The first window with most of its steps ill."""

ILL = {
    "reward fall": {"reward": from_turn(0.7, 0.3)},
    "entropy collapse": {"entropy": from_turn(0.5, 0.001), "reward": 0.4},
    "entropy rise": {"entropy": from_turn(0.1, 0.4)},
    "dead groups": {"valid_fraction": from_turn(0.6, 0.05), "all_wrong_fraction": 0.9},
    "length drift": {
        "reward": lambda step: 0.6 if step < TURN else 0.5,
        "response_length": from_turn(100.0, 200.0),
    },
    "truncation": {"truncated_fraction": from_turn(0.0, 0.5)},
    "undecided answers": {"undecided_fraction": from_turn(0.0, 0.1)},
    "no answers": {"no_answer_fraction": from_turn(0.0, 0.5)},
    "mismatch drift": {"mismatch_kl": from_turn(1e-4, 1e-2)},
    "clip saturation": {
        "clip_fraction_high": from_turn(0.0, 0.2),
        "clip_fraction_low": from_turn(0.0, 0.2),
    },
    "skipped steps": {"step_skipped": from_turn(0.0, 1.0)},
}


def test_every_rule_has_an_ill_run():
    assert {*ILL, "margin without effect"} == set(FIND)


@pytest.mark.parametrize("name", ILL)
def test_what_sets_in_is_found_in_the_first_window_that_is_mostly_ill(name):
    found = FIND[name](*run(**ILL[name]))
    assert found is not None and found.step == SET_IN
    assert any(character.isdigit() for character in found.evidence)


@pytest.mark.parametrize("name", ILL)
def test_no_other_rule_speaks_of_a_single_illness(name):
    others = [rule.name for rule in RULES if rule.name != name and rule.find(*run(**ILL[name]))]
    assert not others


@pytest.mark.parametrize("name", ILL)
def test_a_spike_is_no_illness(name):
    """Ill for one step less than a window and its successors need."""

    def spike(metric):
        if not callable(metric):
            return metric
        return lambda step: metric(step) if step < TURN + HOLD - 2 else metric(1)

    assert FIND[name](*run(**{n: spike(m) for n, m in ILL[name].items()})) is None


@pytest.mark.parametrize("name", [*ILL, "margin without effect"])
def test_a_run_without_the_metrics_has_no_findings(name):
    assert FIND[name](*run()) is None
    assert FIND[name](*run(loss=1.0)) is None


def test_a_healthy_run_has_no_findings():
    """What training that works looks like: reward up, entropy down, responses longer, groups
    solved; the numbers are those of GRPO on the embedded model."""
    steps = run(
        {"objective": {"margin": 1.0, "schedule": "constant"}, "train": {"steps": STEPS}},
        reward=lambda step: 0.45 + 0.5 * step / STEPS,
        entropy=lambda step: 0.3 - 0.28 * step / STEPS,
        response_length=lambda step: 10 + 8 * step / STEPS,
        valid_fraction=lambda step: 0.8 - 0.45 * step / STEPS,
        truncated_fraction=0.0,
        no_answer_fraction=0.003,
        undecided_fraction=0.0,
        mismatch_kl=3e-13,
        clip_fraction_high=0.005,
        clip_fraction_low=0.02,
        sequence_clip_fraction=0.9,
        margin_effect=0.3,
        step_skipped=0.0,
    )
    assert [rule.name for rule in RULES if rule.find(*steps)] == []


def test_a_reward_that_comes_back_has_not_fallen():
    back = run(reward=lambda step: 0.3 if 10 < step < 25 else 0.7)
    assert FIND["reward fall"](*back) is None


def test_small_falls_of_small_rewards_are_noise():
    assert FIND["reward fall"](*run(reward=from_turn(0.09, 0.03))) is None
    assert FIND["reward fall"](*run(reward=from_turn(-0.2, -0.25))) is None


def test_an_own_reward_is_judged_by_its_share_of_correct_responses():
    scaled = run(reward=from_turn(70.0, 30.0), correct_fraction=0.6)
    assert FIND["reward fall"](*scaled) is None
    ill = run(reward=50.0, correct_fraction=from_turn(0.7, 0.3))
    assert FIND["reward fall"](*ill).step == SET_IN


def test_certainty_about_a_solved_task_is_none_too_early():
    solved = run(entropy=from_turn(0.5, 0.001), reward=0.95)
    assert FIND["entropy collapse"](*solved) is None


def test_dead_groups_say_of_what_they_are():
    ill = run(valid_fraction=0.05, all_wrong_fraction=0.2, all_correct_fraction=0.75)
    assert "75% are all correct" in FIND["dead groups"](*ill).evidence


def test_a_mismatch_that_was_always_there_has_not_drifted():
    assert FIND["mismatch drift"](*run(mismatch_kl=0.005)) is None


def test_a_large_mismatch_is_told_though_it_was_always_there():
    found = FIND["mismatch drift"](*run(mismatch_kl=0.05))
    assert found.step < 10 and "0.05" in found.evidence


def test_a_margin_without_effect_needs_a_margin():
    rule, train = FIND["margin without effect"], {"steps": STEPS}
    steps = {"margin_effect": 0.001}
    for objective in ({"margin": 0.0}, {"margin": 1.0, "schedule": "off"}, {}):
        assert rule(*run({"objective": objective, "train": train}, **steps)) is None
    rising = {"margin": 0.01, "schedule": "cosine", "alpha": 0.5}
    found = rule(*run({"objective": rising, "train": train}, **steps))
    assert "0.001" in found.evidence and found.step == STEPS // 2 + 1
    acting = run(
        {"objective": rising, "train": train},
        margin_effect=lambda step: 0.2 * (step > STEPS // 2),
    )
    assert rule(*acting) is None, "a margin that rises acts late"
    long = {"objective": rising, "train": {"steps": 1000}}
    assert rule(*run(long, **steps)) is None, "it has not risen yet"


@pytest.mark.parametrize("name", ["score_clip_fraction", "cap_hit"])
def test_other_clips_saturate_too(name):
    assert FIND["clip saturation"](*run(**{name: from_turn(0.0, 0.9)})).step == SET_IN


def test_missing_and_foreign_values_are_left_out():
    rows = [{"step": s, "reward": None if s % 2 else "x"} for s in range(1, 30)]
    assert FIND["reward fall"](metrics_of(rows), {}) is None
    assert FIND["margin without effect"](metrics_of(rows), {"objective": "grpo"}) is None
    for step in range(1, 30):  # every second step measured: windows are over those
        rows[step - 1]["reward"] = (0.7 if step < 15 else 0.2) if step % 2 else None
    assert FIND["reward fall"](metrics_of(rows), {}).step >= 15


def test_short_runs_are_not_judged():
    rows = [{"step": step, "reward": 0.9 if step < 3 else 0.1} for step in range(1, 9)]
    assert FIND["reward fall"](metrics_of(rows), {}) is None
