"""The process that sends one study to one tracker until its standard input is closed.

    python -m conspo_study.tracking RESULTS_DIR TRACKER

The parent holds standard input open while the study runs; it closes even if the parent is killed.
The remaining results are then sent. On failure the exit status is 1, and the last line on standard
error names the cause.
"""

from __future__ import annotations

import select
import sys
import traceback
from pathlib import Path

from conspo_study.text import one_line
from conspo_study.tracking.follow import follow
from conspo_study.tracking.known import make_tracker
from conspo_study.tracking.processes import LOOK_S


def main() -> int:
    """Send everything; returns the exit status."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    try:
        follow(folder, name, make_tracker(name, folder), _wait)
    except Exception as error:
        traceback.print_exc()
        print(f"{type(error).__name__}: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


def _wait() -> bool:
    return not select.select([sys.stdin], [], [], LOOK_S)[0]


if __name__ == "__main__":
    sys.exit(main())
