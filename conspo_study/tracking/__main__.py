"""The process that sends one study to one tracker, until its standard input ends.

    python -m conspo_study.tracking RESULTS_DIR TRACKER

Standard input is held open by whoever knows whether the study goes on. It ends with that process,
too, however that ends. What is left is then sent. The last line on standard error says what went
wrong, if anything did, with exit status 1.
"""

from __future__ import annotations

import select
import sys
import traceback
from pathlib import Path

from conspo_study.tracking.follow import follow
from conspo_study.tracking.known import make_tracker
from conspo_study.tracking.processes import LOOK_S


def main() -> int:
    """Send until the end; returns the exit status."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    try:
        follow(folder, name, make_tracker(name, folder), _wait)
    except Exception as error:
        traceback.print_exc()
        said = next(iter(str(error).strip().splitlines()), "")
        print(f"{type(error).__name__}: {said}", file=sys.stderr)
        return 1
    return 0


def _wait() -> bool:
    return not select.select([sys.stdin], [], [], LOOK_S)[0]


if __name__ == "__main__":
    sys.exit(main())
