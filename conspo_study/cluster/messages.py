"""Ray's own messages to a driver, kept in a file instead of printed into what the study prints.

Ray prints what its nodes have to say, such as that many workers were started, to standard output,
whatever it is told about logs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@contextmanager
def ray_messages_to(path: Path) -> Iterator[None]:
    """Append what a Ray that is connected inside the block has to say to the file `path`, each line
    with its time. A file that cannot be written costs the messages and nothing else."""
    from ray._private import worker

    def keep(data: dict[str, Any], ignore_prefix: bool = False) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        lines = [line for text in data.get("lines", ()) for line in str(text).splitlines()]
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                text = "".join(f"{now} ({data.get('pid')}) {line}\n" for line in lines)
                file.write(text.encode("utf-8", "backslashreplace"))

    original = worker.print_to_stdstream
    worker.print_to_stdstream = keep
    try:
        yield
    finally:
        worker.print_to_stdstream = original
