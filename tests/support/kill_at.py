"""Run a study script whose driver kills itself with SIGKILL: `kill_at.py POINT SCRIPT ARGUMENT...`.

The driver is the real one, except that it sends itself SIGKILL at POINT, inside the search or the
log. Its threads, its Ray and its workers see what they would see of a kill from outside or of a
machine that ran out of memory.
"""

import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

from conspo_study.records import EventKind
from conspo_study.results.log import ResultsLog
from conspo_study.search import Search


def die():
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # the signal is delivered before this ends


def before_ask():
    """Before the third suggestion of this process is made."""
    asked = 0
    suggest = Search.suggest

    def wrapper(self):
        nonlocal asked
        asked += 1
        return die() if asked == 3 else suggest(self)

    Search.suggest = wrapper


def half_a_line(kind, count):
    """After half of the bytes of the `count`-th event of a kind reached the file."""

    def point():
        seen = 0
        write = ResultsLog._write

        def wrapper(self, line):
            nonlocal seen
            seen += f'"event":"{kind.value}"'.encode() in line
            if seen == count:
                os.write(self._fd, line[: len(line) // 2])
                die()
            write(self, line)

        ResultsLog._write = wrapper

    return point


def during_checkpoint():
    """While a checkpoint is copied: its folder exists, its manifest does not."""
    results = Path(sys.argv[sys.argv.index("--results") + 1])

    def watch():
        known = set()
        while True:
            for folder in results.glob("*/ray/*/checkpoint_*"):
                if folder in known:
                    continue
                if not (folder / "manifest.json").exists():
                    die()
                known.add(folder)

    threading.Thread(target=watch, daemon=True).start()


def before_the_end():
    """After all trials have ended, before the end of the study is written."""
    append = ResultsLog.append

    def wrapper(self, event):
        return die() if event.kind is EventKind.STUDY_FINISHED else append(self, event)

    ResultsLog.append = wrapper


POINTS = {
    "before a suggestion": before_ask,
    "in the middle of writing a report": half_a_line(EventKind.REPORTED, 3),
    "while a checkpoint is copied": during_checkpoint,
    "before the end of the study": before_the_end,
}

if __name__ == "__main__":
    point, script = sys.argv[1:3]
    sys.argv = sys.argv[2:]
    POINTS[point]()
    sys.path[0] = str(Path(script).resolve().parent)
    runpy.run_path(script, run_name="__main__")
