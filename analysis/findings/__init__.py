"""The results of a study as frames, tables and sentences that claim no more than the data.

`trials_frame` and `confirmation_of` give the numbers, `summary_lines` the sentences; `measured`
scores methods from stored responses, and `compare` compares two studies.
"""

from analysis.findings.confirmation import confirmation_of
from analysis.findings.frames import trials_frame
from analysis.findings.measured import labelled, measured
from analysis.findings.study_comparison import compare
from analysis.findings.summary import summary_lines

__all__ = [
    "compare",
    "confirmation_of",
    "labelled",
    "measured",
    "summary_lines",
    "trials_frame",
]
