"""Commands and the page on results folders of strangers: each ends, says why, and reads nothing
that it should not."""

import resource
import shutil

import foreign_folders as foreign
import pytest
from foreign_folders import CASES, CONFIG, EVAL, LOG, SECRET, STUDY, TRIAL
from watched_study import Page

from analysis.load.study import StudyUnreadable, load_study
from conspo_study.commands.command_line import main
from conspo_study.untrusted import within

PATIENCE_S = 30
"""Longest time of any command on any folder, on a busy machine."""
MOST_GROWTH = 700 << 10
"""KiB by which no folder makes this process grow; most would take gigabytes, or all there is."""
WHY = {
    "a link out": "it is a link",
    "a link loop": "it is a link",
    "/dev/zero": "it is a link",
    "a pipe": "it is a pipe",
    "a socket": "it is a socket",
    "a folder": "it is a folder",
    "200 MB of a line": "it is longer than",
    "1 TB of zeros": "it has 1.1 TB",
    "nested": "nested",
    "a trial that is a number": "its trial is no text: 7",
    "a trial that is a list": "its trial is no text: []",
    "a time that is none": 'its time is no date: "soon"',
    "a time of no text": "its time is no date: null",
    "step 10^30": "0000000000 is no step",
    "steps 10^30": "0000000000 is no step",
    "step 10^12": "1000000000000 is no step",
    "a value of 400 digits": "too large",
    "metrics that are none": "'list' object",
    "a seed of 10^30": "0000000000 is no seed",
    "10^30 trials": "a budget of 1e+30 trials",
}
"""What is said, by what is strange; the rest tells only some commands."""
OF_LOG = [case for case in CASES if case.startswith((f"{LOG}:", "log:"))]
OF_DEFINITION = [
    case
    for case in CASES
    if case.startswith((f"{STUDY}:", "study.json:")) and "evaluated" not in case
]


def why(case):
    return WHY[case.partition(": ")[2].removesuffix(" a little")]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return foreign.sound(tmp_path_factory.mktemp("sound") / "foreign")


@pytest.fixture
def folder(sound, tmp_path, request):
    """The folder of the case that is the test's first parameter."""
    place = tmp_path / "foreign"
    shutil.copytree(sound, place)
    CASES[request.node.callspec.params["case"]](place)
    return place


@pytest.fixture(autouse=True)
def bounded():
    """Every test ends, and takes no more memory than reading a large folder does."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with within(PATIENCE_S):
        yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_GROWTH


@pytest.fixture
def conspo(capsys):
    """A function that runs a command: its status, and all that it said in one line."""

    def run(*words):
        capsys.readouterr()
        status = main([str(word) for word in words])
        said = " ".join("".join(capsys.readouterr()).split())
        assert SECRET not in said
        return status, said

    return run


@pytest.mark.parametrize("case", CASES)
def test_status_ends_with_an_answer(case, folder, conspo):
    status, said = conspo("status", folder)
    if case in OF_LOG:
        assert status == 2 and why(case) in said
        assert said.count("error:") == 1
    elif case in OF_DEFINITION:
        assert status == 0 and why(case) in said
    else:
        assert status in (0, 2)


@pytest.mark.parametrize("case", OF_LOG)
@pytest.mark.parametrize("command", ["resume", "ls", "export", "repair", "plan"])
def test_the_same_is_said_by_every_command_that_reads_the_log(command, case, folder, conspo):
    if command == "ls":
        folder = folder.parent
    status, said = conspo(command, folder)
    assert why(case) in said
    saved = command == "repair" and case.startswith("log:") and "B of" not in case
    assert status == (0 if command == "ls" or saved else 2)
    assert saved == ("events that can be trusted" in said)


@pytest.mark.parametrize("case", OF_DEFINITION)
@pytest.mark.parametrize("command", ["resume", "export", "plan"])
def test_the_same_is_said_by_every_command_that_needs_the_definition(command, case, folder, conspo):
    status, said = conspo(command, folder)
    assert status == 2 and why(case) in said


@pytest.mark.parametrize("case", CASES)
def test_the_page_answers_every_question(case, folder):
    page = Page(folder)
    try:
        for question in (
            *("study", "curves?metric=reward", f"trial/{TRIAL}", f"trial/{TRIAL}/curves"),
            *(f"trial/{TRIAL}/responses", f"trial/{TRIAL}/responses?source=evaluation", "study"),
        ):
            status, _, body = page.request(f"api/{question}")
            assert body.startswith(b"{") and SECRET.encode() not in body
            if question == "study" and case in OF_LOG:
                assert why(case).encode().replace(b'"', b'\\"') in body
            # An error of ours has a sentence; the name of an exception would be a mistake.
            assert status in (200, 400, 404, 500) and b"Error: " not in body, body
    finally:
        page.close()


@pytest.mark.parametrize("case", [case for case in CASES if case not in OF_LOG])
def test_what_a_report_reads_is_there_or_refused_by_name(case, folder):
    try:
        study = load_study(folder, log_alone=True)
    except StudyUnreadable as error:
        assert str(folder) in str(error)
        return
    for rows in ("steps", "evaluations", "reports"):
        try:
            getattr(study, rows)
        except StudyUnreadable as error:
            assert str(folder) in str(error)


@pytest.mark.parametrize("case", CASES)
def test_a_tracker_is_fed_or_told_why_not(case, folder):
    from conspo_study.tracking.feed import Feed

    try:
        Feed(folder).news()
    except (ValueError, OSError) as error:
        assert str(folder) in str(error)


@pytest.mark.parametrize("case", [f"{EVAL}: a link out", f"{EVAL}: a pipe", f"{CONFIG}: a pipe"])
def test_a_strange_file_of_a_trial_is_named_with_what_it_is(case, folder):
    with pytest.raises(StudyUnreadable, match=f"{case.partition(':')[0]}.*{why(case)}"):
        _ = load_study(folder).evaluations


@pytest.mark.parametrize("case", ["eval: 20 GiB in 7 kB", "eval: 5 million rows"])
def test_rows_that_would_fill_the_memory_are_refused_before_they_are_written_out(case, folder):
    import pyarrow as pa

    from conspo_study.results.rows import read_eval_table

    assert (folder / EVAL).stat().st_size < 300_000
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(ValueError, match=r"eval-0-00000.parquet is refused: "):
        read_eval_table(folder / "trials" / TRIAL)
    assert pa.default_memory_pool().max_memory() - before < 100 << 20


@pytest.mark.parametrize("case", [f"{CONFIG}: a folder"])
def test_a_study_that_has_ended_and_cannot_be_reported_says_so(case, folder, conspo):
    status, said = conspo("resume", folder)
    assert status == 1 and "the study has ended and cannot be reported" in said
    assert why(case) in said and "conspo report" in said


@pytest.mark.parametrize("case", ["log: step 10^30", "log: a time that is none"])
def test_a_report_names_the_damaged_line_as_other_commands_do(case, folder):
    with pytest.raises(StudyUnreadable, match=r"line 7 is damaged: .*conspo repair"):
        load_study(folder)


def test_a_results_folder_may_itself_be_a_link(sound, tmp_path, conspo):
    (tmp_path / "link").symlink_to(sound)
    assert conspo("status", tmp_path / "link")[0] == 0
    assert len(load_study(tmp_path / "link").evaluations) == 6
