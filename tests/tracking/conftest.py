"""A study that grows, for every test of what is sent to trackers."""

import pytest
from growing_study import GrowingStudy


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "growing"
    folder.mkdir()
    growing = GrowingStudy(folder)
    yield growing
    growing.log.close()
