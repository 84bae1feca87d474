"""A results directory becomes points: each once, steps rising, an evaluation with its own step."""

import pytest
from growing_study import WHOLE
from study_fixtures import METRIC

from conspo_study.records import EventKind, TrialState
from conspo_study.results.lines import LogDamaged
from conspo_study.tracking.feed import Feed


def told(feed, seed=0):
    """What is new of one seed, and how its trial ended."""
    news = [one for one in feed.news() if one.run.seed == seed]
    points = [(point.step, dict(point.metrics)) for one in news for point in one.points]
    return points, next((one.ending for one in news if one.ending), None)


def test_steps_are_told_as_they_come_and_evaluations_with_the_step_they_belong_to(study):
    feed = Feed(study.folder)
    assert feed.news() == []
    study.start("t0000")
    assert told(feed) == ([], None)
    study.evaluate("t0000", 0)
    study.report("t0000", 0, 0.1)
    study.train("t0000", 1)
    study.train("t0000", 2)
    # Step 2 is evaluated: its row waits for that, or the evaluation would come too late for it.
    assert told(feed) == ([(0, {METRIC: 0.1}), (1, {"train/reward": 1.0})], None)
    study.train("t0000", 3)
    assert told(feed) == ([], None)
    study.evaluate("t0000", 2)
    study.report("t0000", 2, 0.2)
    assert told(feed) == (
        [(2, {"train/reward": 2.0, METRIC: 0.2}), (3, {"train/reward": 3.0})],
        None,
    )
    study.train("t0000", 4)
    study.evaluate("t0000", 4)
    study.end("t0000")
    points, ending = told(feed)
    assert points == [(4, {"train/reward": 4.0})]
    assert (ending.state, ending.step, ending.value) == (TrialState.FINISHED, 4, 0.5)
    assert feed.news() == [], "an ended trial is told once"


def test_a_report_between_evaluations_repeats_no_evaluation(study):
    feed = Feed(study.folder)
    study.start("t0000")
    study.evaluate("t0000", 0)
    study.report("t0000", 0, 0.1)
    study.train("t0000", 1)
    study.report("t0000", 1, 0.1)
    assert told(feed)[0] == [(0, {METRIC: 0.1}), (1, {"train/reward": 1.0})]


def test_steps_that_restarted_workers_train_again_are_not_told_twice(study):
    feed = Feed(study.folder)
    study.start("t0000")
    study.train("t0000", 1, reward=0.25)
    assert told(feed)[0] == [(1, {"train/reward": 0.25})]
    study.train("t0000", 1, reward=0.75)
    study.train("t0000", 3)
    assert told(feed)[0] == [(3, {"train/reward": 3.0})]


def test_whoever_comes_late_is_told_the_same(study):
    study.whole_trial("t0000")
    points, ending = told(Feed(study.folder))
    assert points == WHOLE
    assert ending.sentence == "finished at step 4"


def test_half_a_line_waits_for_its_rest(study):
    feed = Feed(study.folder)
    study.start("t0000")
    path = study.folder / "trials" / "t0000" / "steps.jsonl"
    line = '{"seed": 0, "step": 1, "reward": 0.5}\n'
    path.write_text(line[:10])
    assert told(feed)[0] == []
    path.write_text(line)
    assert told(feed)[0] == [(1, {"train/reward": 0.5})]


def test_what_cannot_be_drawn_is_left_out(study):
    feed = Feed(study.folder)
    study.start("t0000")
    path = study.folder / "trials" / "t0000" / "steps.jsonl"
    path.write_text('{"seed": 0, "step": 1, "a": null, "b": "text", "c": true, "d": 2, "e/f": 3}\n')
    assert told(feed)[0] == [(1, {"train/d": 2.0, "e/f": 3.0})]


def test_a_failure_is_told_with_its_cause_and_no_control_characters(study):
    study.start("t0000", label="paper")
    study.end("t0000", EventKind.FAILED, step=1, cause="\x1b[31mdiverged\nat once")
    _, ending = told(Feed(study.folder))
    assert ending.sentence == "failed at step 1: \\x1b[31mdiverged\\nat once"
    assert ending.value is None


def test_a_damaged_log_is_refused_by_line(study):
    feed = Feed(study.folder)
    feed.news()
    study.start("t0000")
    path = study.folder / "log.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"label":""', b'"label":"x"'))
    with pytest.raises(LogDamaged, match="line 2 is damaged"):
        feed.news()


def test_the_run_of_a_seed_that_collapsed_ends_as_collapsed(study):
    study.start("t0000")
    study.report("t0000", 0, 0.4)
    study.report("t0000", 4, 0.1)
    study.end("t0000", step=4, values={"0": 0.1, "1": 0.6}, wall_s=9.0)
    first, second = (news.ending for news in Feed(study.folder).news())
    assert (first.state, first.value) == (TrialState.COLLAPSED, 0.1)
    reason = "seed 0 collapsed from 0.400 untrained to 0.100"
    assert first.sentence == f"collapsed at step 4: {reason}"
    assert (second.state, second.sentence) == (TrialState.FINISHED, "finished at step 4")
