"""Ray's messages to a driver, written to a file instead of into the study's output.

Ray prints messages of its nodes, such as a warning that many workers were started, to standard
output, whatever its settings for logs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conspo_study.files import make_folders, open_to_append


@contextmanager
def ray_messages_to(path: Path) -> Iterator[None]:
    """Append messages of a Ray that is connected inside the block to the file `path`, each line
    with its time. If the file cannot be written, only the messages are lost; a version of Ray that
    lacks this private function goes on printing."""
    from ray._private import worker

    if not hasattr(worker, "print_to_stdstream"):
        yield
        return

    def keep(data: dict[str, Any], ignore_prefix: bool = False) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        lines = [line for text in data.get("lines", ()) for line in str(text).splitlines()]
        with suppress(OSError):
            make_folders(path.parent, 1)
            with os.fdopen(open_to_append(path, 1), "ab") as file:
                text = "".join(f"{now} ({data.get('pid')}) {line}\n" for line in lines)
                file.write(text.encode("utf-8", "backslashreplace"))

    original = worker.print_to_stdstream
    worker.print_to_stdstream = keep
    try:
        yield
    finally:
        worker.print_to_stdstream = original
