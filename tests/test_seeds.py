"""Seeds: derived streams are distinct, stable and independent of one another."""

import pytest
from study_fixtures import definition

from conspo_study.config import ConfigError
from conspo_study.definition import Confirmation
from conspo_study.seeds import derive_seed


def test_streams_differ_by_root_name_and_index():
    seeds = {
        derive_seed(root, name, index)
        for root in range(10)
        for name in ("rollout", "order", "evaluation")
        for index in range(100)
    }
    assert len(seeds) == 10 * 3 * 100


def test_a_number_and_its_text_name_different_streams():
    assert derive_seed(0, 1) != derive_seed(0, "1")
    assert derive_seed(0, "a", "b") != derive_seed(0, "ab")


def test_values_never_change_between_versions():
    assert derive_seed(0, "rollout", 3) == 1041685574885780112
    assert 0 <= derive_seed(0, "rollout", 3) < 2**63


def test_a_study_takes_the_seeds_that_its_tables_can_hold():
    assert definition(seeds=(-(2**63), 2**63 - 1)).seeds[1] == 2**63 - 1
    for seed in (2**63, -(2**63) - 1, 2**64):
        with pytest.raises(ConfigError, match=rf"seed {seed} is out of range.*2\^63 - 1"):
            definition(seeds=(0, seed))
        with pytest.raises(ConfigError, match=rf"confirm: seed {seed} is out of range"):
            definition(confirm=Confirmation(seeds=(seed,)))
