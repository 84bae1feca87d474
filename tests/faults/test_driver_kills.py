"""`kill -9` of a study's driver, again and again: the study that comes out is the same."""

import pytest
from kill_at import POINTS
from studies_under_fire import (
    assert_no_process_outlives,
    assert_nothing_is_lost,
    run_study,
    wait_for,
    what_happened,
)

pytestmark = [pytest.mark.slow, pytest.mark.ray]

KILLED = -9


def test_a_study_killed_at_four_points_is_the_undisturbed_study(sweep, tmp_path):
    results, temporary = tmp_path / "first", tmp_path / "temporary"
    temporary.mkdir()
    environment = {**sweep.environment, "TMPDIR": str(temporary)}
    for number, point in enumerate(POINTS):
        more = ["--resume"] if number else []
        killed = run_study(environment, results, *more, point=point)
        assert killed.returncode == KILLED, f"{point}: {killed.stdout}{killed.stderr}"
        assert_no_process_outlives(environment)
        wait_for(lambda: not list(temporary.iterdir()), 30, "the end of temporary files")
        if number == 1:
            # The directory may move between two lives of the study: nothing in it is absolute.
            results = results.rename(tmp_path / "second")
    resumed = run_study(environment, results, "--resume")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert list(temporary.iterdir()) == []
    folder = results / "margin_sweep"
    assert_nothing_is_lost(folder)
    assert what_happened(folder) == what_happened(sweep.folder)
