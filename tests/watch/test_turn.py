"""A file system that does not answer holds up the question that asked it, and no other for long."""

import threading
import time

import pytest
from watched_study import Page, write_study

from conspo_study.results import tail
from conspo_study.watch import turn
from conspo_study.watch.turn import Turn

PATIENCE_S = 1.0


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(turn, "PATIENCE_S", PATIENCE_S)
    write_study(tmp_path / "mini")
    page = Page(tmp_path / "mini")
    yield page
    page.close()


@pytest.fixture
def stuck(monkeypatch):
    """Lets the opening of files of lines wait until the test ends: of those that are named."""
    waiting, go_on = threading.Event(), threading.Event()
    opened = tail.open_stored

    def never(path, most):
        if path.name in stuck_names:
            waiting.set()
            go_on.wait(30)
        return opened(path, most)

    stuck_names = set()
    monkeypatch.setattr(tail, "open_stored", never)
    yield stuck_names, waiting
    go_on.set()


@pytest.mark.parametrize(
    ("name", "asked", "others"),
    [
        ("log.jsonl", "study", ["study", "curves?metric=reward", "trial/t0000"]),
        ("steps.jsonl", "trial/t0000/curves", ["trial/t0000/curves", "trial/t0000"]),
    ],
)
def test_others_are_answered_with_a_sentence(name, asked, others, page, stuck):
    names, waiting = stuck
    names.add(name)
    first = threading.Thread(target=page.request, args=(f"api/{asked}",), daemon=True)
    first.start()
    assert waiting.wait(10)
    for question in others:
        start = time.monotonic()
        told = page.ask(question, status=500)
        assert "its files are being read for another request" in told["error"]
        assert time.monotonic() - start < PATIENCE_S + 3


def test_a_trial_whose_rows_do_not_answer_holds_up_no_other_page(page, stuck):
    names, waiting = stuck
    names.add("steps.jsonl")
    threading.Thread(target=page.request, args=("api/trial/t0000/curves",), daemon=True).start()
    assert waiting.wait(10)
    for question in ("study", "curves?metric=reward", "trial/t0001", "trial/t0000/responses"):
        start = time.monotonic()
        page.ask(question)
        assert time.monotonic() - start < PATIENCE_S


def test_a_turn_is_given_back_after_an_error(tmp_path):
    mine = Turn(tmp_path)
    with pytest.raises(KeyError), mine.taken():
        raise KeyError
    with mine.taken(patience=0), pytest.raises(OSError, match="ask again"), mine.taken(patience=0):
        pass
