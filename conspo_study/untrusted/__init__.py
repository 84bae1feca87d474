"""Files that somebody else may have written: opened without surprises, read within bounds.

Floor 0. Nothing here reads more than its caller allows, waits for a writer, or follows a link
inside a results directory.
"""

from conspo_study.untrusted.deadline import within
from conspo_study.untrusted.documents import (
    TooDeep,
    parse_json,
    parse_strict,
    read_object,
)
from conspo_study.untrusted.lines import CHUNK, LONGEST_LINE, LineTooLong, all_lines
from conspo_study.untrusted.opening import (
    StrangeFile,
    kind_of,
    open_regular,
    read_regular,
    regular_digest,
)

__all__ = [
    "CHUNK",
    "LONGEST_LINE",
    "LineTooLong",
    "StrangeFile",
    "TooDeep",
    "all_lines",
    "kind_of",
    "open_regular",
    "parse_json",
    "parse_strict",
    "read_object",
    "read_regular",
    "regular_digest",
    "within",
]
