"""What Ray's pages say of the processes of a trial."""

from pathlib import Path

import pytest

from conspo_study.cluster.names import trial_driver
from conspo_study.rollout.vllm_actor import VllmActor
from conspo_study.text import LONGEST_TITLE, title


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("sweep", "t0001", "tau=1 margin=2"), "sweep t0001 tau=1 margin=2"),
        (("sweep", "t0001", ""), "sweep t0001"),
        (("a\n\tb", "c\x1b[31m"), "a b c?[31m"),
        (("x" * 500,), "x" * (LONGEST_TITLE - 1) + "…"),
    ],
)
def test_a_title_is_one_short_printable_line(parts, expected):
    assert title(*parts) == expected


def test_a_driver_shows_the_trial_of_its_own_configuration():
    from ray.tune import Trainable

    show, resources = lambda config: f"trial {config['trial']}", {"CPU": 0, "custom": 0.5}
    driver = trial_driver(lambda config: None, show, resources)
    assert issubclass(driver, Trainable) and driver.__qualname__ == "TrialDriver"
    assert driver.default_resource_request({}).required_resources == {"custom": 0.5}
    one, other = driver.__new__(driver), driver.__new__(driver)
    one.config, other.config = {"trial": "t0001"}, {"trial": "t0002"}
    assert (repr(one), repr(other)) == ("trial t0001", "trial t0002")


def test_an_engine_shows_its_run_and_worker():
    engine = VllmActor.__new__(VllmActor)  # it would take over this process's output
    engine._log = Path("/results/ray/sweep-t0001/engines-0/engine-1.log")
    assert repr(engine) == "sweep-t0001/engines-0/engine-1"
