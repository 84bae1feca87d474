"""The findings of a trial: over its seeds, in the order in which they set in, with collapses."""

from conspo_study.doctor import COLLAPSED, examine, metrics_of
from conspo_study.records import Collapse, TrialState
from conspo_study.results.table import TrialRow

METRIC = "eval/chain/hard/avg@8"


def seed(fall=99, rise=99, steps=40):
    """A seed whose reward falls and whose entropy rises at a step."""
    return metrics_of(
        [
            {
                "step": step,
                "reward": 0.7 if step < fall else 0.2,
                "entropy": 0.1 if step < rise else 0.4,
            }
            for step in range(1, steps + 1)
        ]
    )


def row(**changes):
    fields = {"id": "t0", "state": TrialState.FINISHED, "seeds": (0, 1, 2), "step": 40}
    return TrialRow(**{**fields, **changes})


def test_findings_name_their_seeds_and_come_in_the_order_in_which_they_set_in():
    found = examine(row(), {0: seed(), 1: seed(25, 10), 2: seed(15)}, {}, METRIC, "max")
    assert [one.name for one in found] == ["entropy rise", "reward fall"]
    rise, fall = found
    assert (rise.seeds, fall.seeds) == ("1 of 3", "2 of 3")
    assert tuple(fall.symptoms) == (1, 2)
    assert fall.first[0] == 2 and fall.step == fall.symptoms[2].step < fall.symptoms[1].step


def test_a_trial_that_is_well_has_no_findings():
    assert examine(row(), {0: seed(), 1: seed()}, {}, METRIC, "max") == ()
    assert examine(row(), {}, {}, METRIC, "max") == ()


def test_collapsed_seeds_are_a_finding_at_the_step_of_their_collapse():
    ended = row(
        state=TrialState.COLLAPSED,
        collapses={1: Collapse(12, "non-finite gradients")},
        untrained={2: {METRIC: 0.2}},
        values={0: 0.7, 1: 0.1, 2: 0.01},
    )
    (found,) = examine(ended, {}, {}, METRIC, "max")
    assert (found.name, found.seeds, found.step) == (COLLAPSED, "2 of 3", 12)
    assert found.symptoms[1].evidence == "collapsed at step 12: non-finite gradients"
    assert found.symptoms[2].step == 40
    assert "0.200 untrained to 0.010" in found.symptoms[2].evidence
