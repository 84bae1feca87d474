"""Sends a study to one tracker, as long as there may be more of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from conspo_study.files import make_folders, open_to_append, write_json_atomic
from conspo_study.results.names import TRACKING
from conspo_study.results.reading import stored_object
from conspo_study.text import reason
from conspo_study.tracking.feed import Feed, News
from conspo_study.tracking.runs import Tracked, Tracker

_LOOK_S = 0.5
PATIENCE_S = 60.0
"""Longest wait for the process of a driver that was killed, which sends what is left."""


def follow(folder: Path, name: str, tracker: Tracker, wait: Callable[[], bool]) -> None:
    """Send the study in `folder` to `tracker`, which is called `name`.

    wait: returns after a while, with whether the study may go on. After it does not, what is left
    is sent and the end is reached. A run whose trial ended and that was sent whole is not sent
    again; of all others nothing is there twice. Raises OSError when another process sends the study
    to the same tracker and goes on with it.
    """
    place = folder / TRACKING
    make_folders(place, 1)
    with _alone(place / f"{name}.lock"):
        for left in place.glob(f".{name}.json.*.tmp"):
            left.unlink()
        sent = _Sent(place / f"{name}.json")
        feed = Feed(folder)
        opened: dict[str, Tracked] = {}
        goes_on = True
        while goes_on:
            goes_on = wait()
            for news in feed.news():
                if not (sent.whole(news) and tracker.holds(news.run)):
                    _send(news, tracker, opened)
                if news.ending is not None:
                    sent.add(news)
            sent.write()
        for run in opened.values():
            run.close(None)


def _send(news: News, tracker: Tracker, opened: dict[str, Tracked]) -> None:
    name = news.run.name
    if name not in opened:
        opened[name] = tracker.begin(news.run)
    run = opened[name]
    points = [point for point in news.points if point.step > run.last]
    if points:
        run.log(points)
    if news.ending is not None:
        opened.pop(name).close(news.ending)


class _Sent:
    """Which runs were sent whole, by name, with how they ended."""

    def __init__(self, path: Path):
        self._path = path
        self._changed = False
        try:
            self._endings = stored_object(path)
        except FileNotFoundError:
            self._endings = {}
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{path} cannot be read: {reason(error)}; delete it: all is sent again"
            ) from error

    def whole(self, news: News) -> bool:
        """Whether all of the run was sent, and the trial has not been continued since."""
        if news.ending is None:
            return False
        return self._endings.get(news.run.name) == news.ending.sentence

    def add(self, news: News) -> None:
        assert news.ending is not None
        if not self.whole(news):
            self._endings[news.run.name] = news.ending.sentence
            self._changed = True

    def write(self) -> None:
        if self._changed:
            write_json_atomic(self._path, self._endings, 1)
            self._changed = False


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    # FileLock would empty whatever a link names.
    os.close(open_to_append(path, 1))
    try:
        lock = FileLock(path).acquire(timeout=PATIENCE_S, poll_interval=_LOOK_S)
    except Timeout as error:
        raise OSError(
            errno.EAGAIN,
            "another process sends this study to the same tracker; wait for it to end",
            str(path),
        ) from error
    with lock:
        yield
