"""A study to watch, and the servers of its page."""

import pytest
from watched_study import Page, write_study


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "mini"
    write_study(folder)
    return folder


@pytest.fixture
def watch():
    """Serves folders until the test ends."""
    pages = []

    def make(folder):
        pages.append(Page(folder))
        return pages[-1]

    yield make
    for page in pages:
        page.close()
