"""A reader who leaves, a full disk or a closed stream costs what was printed and nothing else."""

import subprocess
import sys

import pytest

from conspo_study.processes.output import lasting_output

COMMAND = """
import sys
from pathlib import Path
from conspo_study.processes.output import lasting_output
from rich.console import Console

@lasting_output()
def main():
    console = Console()
    for number in range(20000):
        print("a line of a long report", number)
    console.print("another")
    print("a word of warning", file=sys.stderr)
    assert sys.stdout.fileno() == 1 and not sys.stdout.isatty()
    with Path(sys.argv[1]).open("w") as file:
        assert file.fileno() > 2, "it took the place of a stream"
        file.write("whole")
    return 3

raise SystemExit(main())
"""


def command(tmp_path, redirection):
    """Exit status, standard error and what the command wrote."""
    written = tmp_path / "written"
    shell = f'"$0" -c "$1" "$2" {redirection}'
    done = subprocess.run(
        ["bash", "-c", f"{shell}; exit ${{PIPESTATUS[0]}}", sys.executable, COMMAND, str(written)],
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr, written.read_text()


@pytest.mark.parametrize("redirection", ["| true", "| head -2", ">&-", "</dev/null >&-"])
def test_a_reader_who_leaves_is_no_error(tmp_path, redirection):
    assert command(tmp_path, redirection) == (3, "a word of warning\n", "whole")


@pytest.mark.parametrize("redirection", ["2>&-", ">&- 2>&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_error(tmp_path, redirection):
    assert command(tmp_path, redirection) == (3, "", "whole")


def test_output_that_a_full_disk_loses_is_told_once_on_the_other_stream(tmp_path):
    status, said, written = command(tmp_path, "> /dev/full")
    assert (status, written) == (3, "whole")
    assert said == "a word of warning\nstandard output is lost: No space left on device\n"
    assert command(tmp_path, "> /dev/full 2> /dev/full") == (3, "", "whole")


def test_what_can_be_printed_is_printed_and_streams_are_given_back(capsys):
    before = sys.stdout
    with lasting_output():
        print("seen")
        sys.stdout.writelines(["a", "b\n"])
    assert sys.stdout is before
    assert capsys.readouterr().out == "seen\nab\n"


def test_an_error_in_the_block_is_not_hidden():
    with pytest.raises(ZeroDivisionError), lasting_output():
        1 / 0  # noqa: B018
