"""A loaded study is short to show, and a path may be text."""

from pathlib import Path

from conspo_study import load

FROZEN = Path(__file__).parents[2] / "assets" / "results_v2"


def test_a_path_may_be_text() -> None:
    assert load(str(FROZEN)).table == load(FROZEN).table


def test_a_study_is_shown_in_one_line() -> None:
    assert repr(load(FROZEN)) == (
        "<StudyResults two-aims: 6 trials (3 finished, 2 pruned, 1 failed), not ended, "
        "best trial t0003 with 0.625>"
    )
