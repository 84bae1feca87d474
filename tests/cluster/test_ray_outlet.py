"""What trials share of the evaluation before training."""

import pytest

from conspo_study.cluster.outlet import RayOutlet
from conspo_study.cluster.trial_spec import TrialSpec
from conspo_study.config import with_overrides
from conspo_study.definition.presets import QUICK
from conspo_study.records import EvalRow

ROW = EvalRow(0, 0, "chain/hard", "p", 0, "correct", "1", 3, "stopped")


def outlet_of(results, trial, **settings):
    config = with_overrides(QUICK, {f"rollout.{name}": value for name, value in settings.items()})
    data = config.model_dump(mode="json")
    return RayOutlet(TrialSpec("s", trial, data, (0,), "m", "max", {}, str(results)), config)


@pytest.mark.parametrize(
    ("settings", "shared"),
    [
        ({"group_size": 8}, True),
        ({"vllm_dtype": "bfloat16"}, True),  # of an engine that is not used
        ({"engine": "vllm"}, False),
        ({"engine": "vllm", "vllm_dtype": "bfloat16"}, False),
    ],
)
def test_an_evaluation_is_shared_by_those_who_would_sample_the_same(tmp_path, settings, shared):
    outlet_of(tmp_path, "t0000").evaluation([ROW])
    other = outlet_of(tmp_path, "t0001", **settings)
    assert (other.untrained(0) == [ROW]) is shared
    other.evaluation([ROW])
    assert outlet_of(tmp_path, "t0002", **settings).untrained(0) == [ROW]


def test_trials_share_the_untrained_evaluation_only_where_the_same_judge_made_it(tmp_path, place):
    place("judges.py", "def a(p, r, q): return 1\ndef b(p, r, q): return 0\n")

    def folder(**changes):
        overrides = {name.replace("__", "."): value for name, value in changes.items()}
        config = with_overrides(QUICK, overrides)
        spec = TrialSpec("s", "t", {}, (0,), "m", "max", {}, str(tmp_path))
        return RayOutlet(spec, config)._untrained_folder(0)

    plain = folder()
    assert folder(reward__deadline_s=9.0) == plain == folder(reward__name="math")
    own = folder(reward__name="judges:a")
    assert len({plain, own, folder(reward__name="judges:b"), folder(reward__threshold=1.0)}) == 4
    both = [folder(reward__name=f"judges:{x}", evaluation__reward="math") for x in "ab"]
    assert both[0] == both[1] != plain
