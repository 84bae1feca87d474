"""Reports of Ray Tune about a trial become the right events, in whatever order they come."""

import errno
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_fixtures import METRIC, MemoryLog, definition

from conspo_study.cluster import tune as ray_tune
from conspo_study.cluster.outlet import COLLAPSED, INCIDENTS, STEP
from conspo_study.cluster.searcher import LoggedSearcher
from conspo_study.cluster.trial import FAILURE, MACHINE
from conspo_study.cluster.trial_spec import TrialSpec
from conspo_study.definition import Aim, Confirmation
from conspo_study.records import Collapse, TrialState, read_bar
from conspo_study.search import Search


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One for all examples of a property."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture
def searcher(tmp_path):
    return searcher_in(tmp_path)


def searcher_in(folder, concurrent=2, log=None, answers=lambda stopping: True, **changes):
    study = definition(**changes)
    search = Search(study, log or MemoryLog())
    return LoggedSearcher(search, study, folder, lambda: concurrent, answers)


def result(step, value=0.5, seeds=(0, 1)):
    metrics = {str(seed): {METRIC: value - 0.1 + 0.2 * seed} for seed in seeds}
    return {STEP: step, "steps": 4, "seeds": json.dumps(metrics)}


def row(searcher, trial="t0000"):
    return searcher.search.log.table.row(trial)


def finish(searcher, tune_id, value=0.5, seeds=(0, 1)):
    searcher.on_trial_result(tune_id, result(4, value, seeds))
    searcher.on_trial_complete(tune_id, result(4, value, seeds))


def test_a_payload_names_the_trial_and_slots_are_limited(searcher):
    payload = searcher.suggest("a")
    assert payload["trial"] == "t0000"
    assert payload["seeds"] == (0, 1)
    assert (payload["bars"], payload["direction"]) == ({}, "max")
    assert TrialSpec(**payload).metric == METRIC
    assert searcher.suggest("b")["trial"] == "t0001"
    assert searcher.suggest("c") is None
    finish(searcher, "a")
    assert searcher.suggest("c")["trial"] == "t0002"


def test_while_the_search_waits_there_is_no_trial_and_tune_asks_again(tmp_path):
    searcher = searcher_in(tmp_path, concurrent=9, lag=0)
    searcher.suggest("a"), searcher.suggest("b")
    assert searcher.suggest("c") is None
    finish(searcher, "a")
    assert searcher.suggest("c") is None
    finish(searcher, "b")
    assert searcher.suggest("c")["trial"] == "t0002"


def test_a_search_that_waits_for_nothing_is_a_mistake_of_ours(tmp_path):
    searcher = searcher_in(tmp_path, lag=0)
    searcher.suggest("a"), searcher.suggest("b")
    searcher._running.clear()
    with pytest.raises(AssertionError, match="none is running"):
        searcher.suggest("c")


def test_the_end_of_the_search_is_said_once_all_is_confirmed(tmp_path):
    confirm = Confirmation(seeds=(7,), anchors=("paper",))
    searcher = searcher_in(tmp_path, trials=2, concurrent=3, confirm=confirm)
    searcher.suggest("a"), searcher.suggest("b")
    assert searcher.suggest("c")["seeds"] == (7,)
    finish(searcher, "a", 0.1), finish(searcher, "b", 0.9)
    assert searcher.suggest("d")["trial"] == "c0001"
    finish(searcher, "c", seeds=(7,))
    assert searcher.suggest("e") is None, "what still runs may have to be started again"
    finish(searcher, "d", seeds=(7,))
    assert searcher.suggest("e") == "FINISHED"
    assert searcher.search.complete


def test_a_trial_that_reports_its_last_step_is_finished_with_its_seeds(searcher):
    searcher.suggest("a")
    for step in (0, 2, 4):
        searcher.on_trial_result("a", result(step, step / 10))
    searcher.on_trial_complete("a", result(4, 0.4))  # Tune repeats the last report
    found = row(searcher)
    assert (found.state, found.step, found.value) == (TrialState.FINISHED, 4, pytest.approx(0.4))
    assert found.values == {0: pytest.approx(0.3), 1: pytest.approx(0.5)}
    assert found.wall_s is not None


def collapsing(step, seeds, total=4):
    """A report of a trial some of whose seeds have collapsed."""
    ends = {str(seed): {"step": 1, "cause": f"no contrast: seed {seed}"} for seed in seeds}
    return {**result(step), COLLAPSED: json.dumps(ends)}


@pytest.mark.parametrize(
    ("seeds", "state"), [((1,), TrialState.FINISHED), ((0, 1), TrialState.COLLAPSED)]
)
def test_collapsed_seeds_are_logged_with_the_report_and_the_end(searcher, seeds, state):
    searcher.suggest("a")
    searcher.on_trial_result("a", result(0, 0.2))
    searcher.on_trial_result("a", collapsing(2, seeds))
    running = row(searcher)
    assert running.state is TrialState.RUNNING
    assert running.collapsed == dict.fromkeys(seeds, 1)
    searcher.on_trial_complete("a", collapsing(4, seeds))
    found = row(searcher)
    assert (found.state, found.step, found.value) == (state, 4, pytest.approx(0.5))
    assert found.collapses[1] == Collapse(1, "no contrast: seed 1")
    assert found.untrained[1][METRIC] == pytest.approx(0.3)
    assert searcher.search.log.events[-1].event.data["collapsed"]["1"]["step"] == 1
    assert searcher.search.log.table.with_result == 1


def test_a_collapse_at_a_bar_is_kept_by_the_pruned_trial(tmp_path):
    searcher = with_bars(tmp_path)
    searcher.on_trial_complete("c", collapsing(2, (0,)))
    found = row(searcher, "t0002")
    assert (found.state, found.collapsed) == (TrialState.PRUNED, {0: 1})


@pytest.mark.parametrize("text", ['{"9": {"step": 1, "cause": ""}}', '{"0": {"step": 3}}', "[]"])
def test_a_collapse_that_makes_no_sense_fails_the_trial(searcher, text):
    searcher.suggest("a")
    searcher.on_trial_result("a", {**result(2), COLLAPSED: text})
    searcher.on_trial_complete("a", result(4))
    assert row(searcher).state is TrialState.FAILED
    assert row(searcher).cause.startswith("a malformed report")


def with_bars(folder):
    """A searcher whose trial t0002, Tune's "c", has a bar at step 2."""
    searcher = searcher_in(folder, concurrent=9, lag=0)
    for tune_id, values in (("a", (0.5, 0.6)), ("b", (0.1, 0.3))):
        searcher.suggest(tune_id)
        seeds = {str(seed): {METRIC: value} for seed, value in enumerate(values)}
        searcher.on_trial_result(tune_id, {**result(2), "seeds": json.dumps(seeds)})
        finish(searcher, tune_id)
    payload = searcher.suggest("c")
    assert payload["bars"].keys() == {"2"}
    bar = read_bar(json.loads(json.dumps(payload["bars"]))["2"])  # as the trial's worker gets it
    assert bar == searcher.search.log.table.row("t0002").bars[2]
    assert bar.rival == {0: 0.5, 1: 0.6}
    return searcher


def test_a_trial_that_ends_at_a_bar_is_pruned_there(tmp_path):
    searcher = with_bars(tmp_path)
    for step in (0, 2):
        searcher.on_trial_result("c", result(step, 0.3))
    searcher.on_trial_complete("c", result(2, 0.3))
    found = row(searcher, "t0002")
    assert (found.state, found.step, found.value) == (TrialState.PRUNED, 2, pytest.approx(0.3))
    assert found.values == {0: pytest.approx(0.2), 1: pytest.approx(0.4)}


def test_a_trial_that_ends_early_where_no_bar_stops_it_is_started_again(tmp_path):
    searcher = with_bars(tmp_path)
    searcher.on_trial_result("c", result(3))
    searcher.on_trial_complete("c", result(3))
    assert searcher.suggest("d")["trial"] == "t0002"
    found = row(searcher, "t0002")
    assert (found.state, found.step) == (TrialState.RUNNING, 3)
    assert found.incidents == {"trial_restarted": 1}


def test_values_of_further_objectives_are_logged_by_seed(tmp_path):
    searcher = searcher_in(tmp_path, also=(Aim(metric="tokens", direction="min"),))
    searcher.suggest("a"), searcher.suggest("b")
    metrics = {str(seed): {METRIC: 0.5, "tokens": 60 + seed} for seed in (0, 1)}
    searcher.on_trial_complete("a", {**result(4), "seeds": json.dumps(metrics)})
    assert row(searcher).also == {"tokens": {0: 60.0, 1: 61.0}}
    searcher.on_trial_complete("b", result(4))
    assert row(searcher, "t0001").state is TrialState.FAILED
    assert "seed 0 reported tokens = None" in row(searcher, "t0001").cause


def test_incidents_are_logged_once(searcher):
    searcher.suggest("a")
    told = [{"type": "worker_restarted", "count": 2, "detail": "killed"}]
    last = {**result(4), INCIDENTS: json.dumps(told)}
    searcher.on_trial_result("a", last)
    searcher.on_trial_complete("a", last)
    assert row(searcher).incidents == {"worker_restarted": 2}


def test_a_failure_brings_its_incidents(searcher):
    searcher.suggest("a")
    told = [{"type": "worker_restarted", "count": 1, "detail": "killed"}]
    searcher.on_trial_complete("a", {FAILURE: "the workers died", INCIDENTS: json.dumps(told)})
    found = row(searcher)
    assert (found.state, found.cause) == (TrialState.FAILED, "the workers died")
    assert found.incidents == {"worker_restarted": 1}


def test_a_reported_failure_is_a_failure_with_its_cause(searcher):
    searcher.suggest("a")
    searcher.on_trial_result("a", result(0))
    searcher.on_trial_result("a", {FAILURE: "diverged: nan"})
    searcher.on_trial_complete("a", {FAILURE: "diverged: nan"})
    found = row(searcher)
    assert (found.state, found.cause, found.value) == (TrialState.FAILED, "diverged: nan", None)


def kinds(searcher, trial="t0000"):
    logged = [e.event for e in searcher.search.log.events if e.event.trial == trial]
    return [event.kind.value for event in logged]


@pytest.mark.parametrize("last", [None, {}, {"done": True}])
def test_an_end_without_a_cause_is_no_end_until_the_head_has_answered(tmp_path, last):
    alive = []
    searcher = searcher_in(tmp_path, answers=lambda stopping: bool(alive))
    searcher.suggest("a")
    searcher.on_trial_complete("a", last, error=True)
    searcher.died_of("a", "ActorDiedError: a connection error")
    assert searcher.suggest("b") is None
    assert kinds(searcher) == ["suggested", "started"]
    alive.append(True)
    assert searcher.suggest("c")["trial"] == "t0000"
    assert kinds(searcher) == ["suggested", "started", "incident", "started"]
    assert searcher.search.log.events[-2].event.data["detail"].startswith("ActorDiedError")
    assert searcher.suggest("d")["trial"] == "t0001"
    finish(searcher, "c")
    assert row(searcher).state is TrialState.FINISHED


def test_a_trial_that_dies_without_progress_fails_as_the_machine_s(searcher):
    for tune_id in "abc":
        assert searcher.suggest(tune_id)["trial"] == "t0000"
        searcher.on_trial_result(tune_id, result(2))
        searcher.on_trial_complete(tune_id, result(2), error=True)
        searcher.died_of(tune_id, "killed")
    assert searcher.suggest("d")["trial"] == "t0001"
    found = row(searcher)
    assert (found.state, found.machine) == (TrialState.FAILED, True)
    assert found.cause == "the trial's driver died 3 times at step 2: killed"
    assert found.incidents == {"trial_restarted": 2}


def test_progress_begins_the_count_of_deaths_anew(searcher):
    for number, step in enumerate((0, 0, 1, 1, 2, 2, 3, 3)):
        assert searcher.suggest(number)["trial"] == "t0000"
        searcher.on_trial_result(number, result(step))
        searcher.on_trial_complete(number, result(step), error=True)
    assert searcher.suggest("last")["trial"] == "t0000"
    assert row(searcher).incidents == {"trial_restarted": 8}


def test_a_failure_of_the_machine_is_run_again_when_asked_for(tmp_path):
    log = MemoryLog()
    first = searcher_in(tmp_path, log=log, trials=2)
    first.suggest("a"), first.suggest("b")
    first.on_trial_result("a", {FAILURE: "out of memory: x", MACHINE: True})
    first.on_trial_complete("a")
    first.on_trial_complete("b", {FAILURE: "diverged: nan"})
    assert first.suggest("c") == "FINISHED"
    failed = {found.id: found.machine for found in log.table.all_rows}
    assert failed == {"t0000": True, "t0001": False}
    study = definition(trials=2)
    search = Search(study, log, retried=["t0000"])
    assert not search.complete
    again = LoggedSearcher(search, study, tmp_path, lambda: 2)
    assert again.suggest("d")["trial"] == "t0000"
    assert again.suggest("e") is None
    finish(again, "d")
    assert again.suggest("f") == "FINISHED"
    assert search.complete
    assert (row(again).state, row(again).machine) == (TrialState.FINISHED, False)


BAD_METRICS = [None, math.nan, math.inf, -math.inf, "0.5", True, [0.5], 10**400]
NONSENSE = [
    {STEP: None},
    {STEP: "two"},
    {STEP: -1},
    {STEP: 5},
    {STEP: math.nan},
    {"steps": 7},
    {"steps": None},
    {"seeds": None},
    {"seeds": "no JSON"},
    {"seeds": "[1, 2]"},
    {"seeds": '"text"'},
    {"seeds": '{"0": 1}'},
    {"seeds": '{"0": {}, "9": {}}'},
    {"seeds": '{"a": {}}'},
    {INCIDENTS: "no JSON"},
    {INCIDENTS: '{"type": "x"}'},
    {INCIDENTS: '[{"type": "x"}]'},
    {INCIDENTS: None},
]


@pytest.mark.parametrize("bad", BAD_METRICS, ids=repr)
def test_a_last_report_without_a_number_is_a_failure_and_teaches_nothing(tmp_path, bad):
    searcher = searcher_in(tmp_path, concurrent=9, lag=0, trials=4)
    searcher.suggest("a"), searcher.suggest("b")
    searcher.on_trial_result("a", result(2))
    metrics = {"0": {METRIC: 0.5, "other": math.nan}, "1": {METRIC: bad}}
    searcher.on_trial_complete("a", {**result(4), "seeds": json.dumps(metrics)})
    found = row(searcher)
    assert (found.state, found.value) == (TrialState.FAILED, None)
    assert found.cause == f"seed 1 reported {METRIC} = {bad!r}, not a finite number"
    assert found.seed_metrics[0] == {METRIC: 0.5}
    goes_on_after_a_failure(searcher)


@pytest.mark.parametrize("wrong", NONSENSE, ids=repr)
def test_a_report_that_makes_no_sense_is_a_failure_and_the_study_goes_on(tmp_path, wrong):
    searcher = searcher_in(tmp_path, concurrent=9, lag=0, trials=4)
    searcher.suggest("a"), searcher.suggest("b")
    searcher.on_trial_result("a", {**result(2), **wrong})
    searcher.on_trial_complete("a", result(4))
    assert row(searcher).state is TrialState.FAILED
    assert row(searcher).cause.startswith("a malformed report: ")
    goes_on_after_a_failure(searcher)


def goes_on_after_a_failure(searcher):
    """The failed trial counts as ended, and as nothing else."""
    assert searcher.suggest("c") is None
    finish(searcher, "b")
    assert searcher.suggest("c")["bars"] == {}
    finish(searcher, "c", 0.9)
    assert searcher.suggest("d")["trial"] == "t0003"
    finish(searcher, "d", 0.1)
    assert searcher.suggest("e") == "FINISHED"
    assert searcher.search.complete
    table = searcher.search.log.table
    assert table.best("max").id == "t0002"
    assert table.counts[TrialState.FAILED] == 1


ODD = [None, True, 0, -1, 3, 10**400, 0.5, math.nan, math.inf, "", "é\ud800", [], [math.nan], {}]
odd = st.sampled_from(ODD)
metrics = odd | st.dictionaries(st.sampled_from([METRIC, "tokens_per_s"]), odd)
seeds = st.dictionaries(st.sampled_from(["0", "1", "x"]), metrics).map(json.dumps)
reports_of_all_kinds = st.fixed_dictionaries(
    {},
    optional={
        STEP: st.integers(0, 4) | odd,
        "steps": st.just(4) | odd,
        "seeds": seeds | odd,
        FAILURE: odd,
        INCIDENTS: odd | odd.map(json.dumps),
    },
)


@settings(deadline=None, max_examples=40)
@given(st.lists(reports_of_all_kinds, max_size=4))
def test_no_report_at_all_raises_an_error_here(folder, reports):
    searcher = searcher_in(folder)
    searcher.suggest("a")
    for report in reports:
        searcher.on_trial_result("a", report)
    searcher.on_trial_complete("a", reports[-1] if reports else None)
    open_again = row(searcher).state is TrialState.RUNNING
    assert searcher.suggest("b")["trial"] == ("t0000" if open_again else "t0001")


def test_reports_repeated_after_a_worker_restart_are_logged_once(searcher):
    searcher.suggest("a")
    for step in (0, 1, 2, 1, 2, 3):
        searcher.on_trial_result("a", result(step))
    events = [e.event for e in searcher.search.log.events]
    assert [e.data["step"] for e in events if "steps" in e.data] == [0, 1, 2, 3]


def test_tune_s_pickles_hold_nothing_of_ours(searcher):
    assert searcher.__getstate__() == {}
    with pytest.raises(RuntimeError, match="results log"):
        searcher.restore("anything")


def test_a_full_disk_stops_the_study_and_leaves_the_trial_open(searcher, monkeypatch):
    stopped = []
    monkeypatch.setattr("conspo_study.processes.interrupts.stop", lambda: stopped.append(True))
    searcher.suggest("a"), searcher.suggest("b")
    searcher.on_trial_complete("a", {FAILURE: "disk full: [Errno 28] No space left on device"})
    assert stopped
    assert row(searcher).state is TrialState.RUNNING
    assert searcher.out_of_space.errno == errno.ENOSPC
    finish(searcher, "b")
    assert searcher.suggest("c") is None  # the study is stopping; nothing starts any more
    assert row(searcher, "t0001").state is TrialState.FINISHED


def test_tune_itself_shows_nothing_whether_or_not_it_finds_a_notebook(tmp_path, monkeypatch):
    """Its reporter for notebooks would clear what the cell shows of the study."""
    seen = []

    class Tuner:
        def __init__(self, driver, tune_config, run_config):
            seen.append(run_config)

        def fit(self):
            pass

    monkeypatch.setattr(ray_tune.tune, "Tuner", Tuner)
    study = definition()
    ray_tune.run_search(
        Search(study, MemoryLog()), study, tmp_path / "results", tmp_path / "own", lambda: 2
    )
    (settings,) = seen
    assert settings.storage_path == str(tmp_path / "own"), "Tune's pickles are not results"
    assert settings.verbose == 0
    assert not settings.progress_reporter.should_report([], done=True)
