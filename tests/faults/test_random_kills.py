"""Any process of a study is killed or frozen at any moment: the study comes out undisturbed."""

import time

import pytest
from random_kills import under_fire

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SEED, DISTURBANCES, LIMIT_S = 16, 20, 300


def test_studies_under_random_kills_are_the_undisturbed_study(sweep, tmp_path_factory):
    # Paths of sockets must be short.
    folder = tmp_path_factory.mktemp("fire")
    record = under_fire(sweep, SEED, DISTURBANCES, folder, time.monotonic() + LIMIT_S)
    print(*record.lines(), sep="\n")
    assert record.studies
    assert record.disturbed.total() >= DISTURBANCES / 4
