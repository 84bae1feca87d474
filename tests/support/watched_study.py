"""A miniature study, made by the writers that studies use, and the server of its page."""

import json
import threading
import urllib.error
import urllib.request
from dataclasses import replace

import pytest

from conspo_study.records import EvalRow, EventKind, RolloutRow, TrialEvent
from conspo_study.results.kept import rollouts_path, write_rollouts
from conspo_study.results.log import ResultsLog
from conspo_study.results.rows import append_step_row, eval_path, write_eval_rows
from conspo_study.watch import make_server

METRIC = "eval/chain/hard/avg@2"
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
TAU, MARGIN, SCHEDULE = "objective.tau", "objective.margin", "objective.schedule"
PARAMS = {
    "t0000": {TAU: 0.1, MARGIN: 0.0},
    "t0001": {TAU: 1.0, MARGIN: 5.0, SCHEDULE: HOSTILE},
    "t0002": {TAU: 10.0, MARGIN: 0.001, SCHEDULE: "cosine"},
}


def report(step, level=0.5):
    seeds = {str(s): {METRIC: level + s / 10, "reward": step / 40, "gap": None} for s in (0, 1)}
    return {"step": step, "steps": 40, "seeds": seeds, "tokens_per_s": 100.0}


def events():
    """A trial that finished, one that failed, and one that runs."""
    yield TrialEvent(EventKind.STUDY_STARTED, data={"hash": "abc", "trials": 4})
    for trial, params in PARAMS.items():
        label = HOSTILE if trial == "t0000" else ""
        suggested = {"params": params, "seeds": [0, 1], "label": label, "bars": {"20": 0.1}}
        yield TrialEvent(EventKind.SUGGESTED, trial, suggested)
        yield TrialEvent(EventKind.STARTED, trial)
        for step in (0, 10, 20):
            yield TrialEvent(EventKind.REPORTED, trial, report(step))
    ended = {"step": 40, "value": 0.6, "values": {"0": 0.5, "1": 0.7}, "wall_s": 12.5}
    yield TrialEvent(EventKind.REPORTED, "t0000", report(40, 0.6))
    yield TrialEvent(EventKind.FINISHED, "t0000", ended)
    yield TrialEvent(EventKind.FAILED, "t0001", {"step": 20, "cause": f"it said {HOSTILE}"})
    incident = {"type": "worker_restarted", "count": 1, "detail": HOSTILE}
    yield TrialEvent(EventKind.INCIDENT, "t0002", incident)


def write_study_json(folder, **changes):
    definition = {
        "metric": METRIC,
        "direction": "max",
        "seeds": [0, 1],
        "trials": 4,
        "space": {TAU: {"kind": "choice", "values": [0.1, 1.0, 10.0]}},
        "base": {"evaluation": {"every": 20}, "objective": {"tau": 1.0}},
    }
    stored = {"schema": 1, "name": "mini", "hash": "abc", "data": {}, "definition": definition}
    (folder / "study.json").write_text(json.dumps(stored | changes))


def kept(step, group, response="1+1=2", verdicts=("correct", "wrong", "wrong", "no_answer")):
    row = RolloutRow(
        0, step, group, 0, f"p{group}", "1+1=?", response, "", "2", -0.5, 0.1, None, 5, "stopped"
    )
    return [
        replace(row, rollout=i, verdict=verdict, response_tokens=5 + i, response=f"{response} {i}")
        for i, verdict in enumerate(verdicts)
    ]


def write_study(folder):
    """Three trials with steps, responses and evaluations, texts of which try to be markup."""
    folder.mkdir()
    write_study_json(folder)
    with ResultsLog(folder / "log.jsonl") as log:
        for event in events():
            log.append(event)
    for trial, params in PARAMS.items():
        trial_folder = folder / "trials" / trial
        trial_folder.mkdir(parents=True)
        config = {"objective": {"tau": params[TAU], "name": HOSTILE}}
        (trial_folder / "config.json").write_text(json.dumps({"seeds": [0, 1], "config": config}))
        for step in range(1, 21):
            for seed in (0, 1):
                append_step_row(
                    trial_folder / "steps.jsonl", {"seed": seed, "step": step, "loss": 1 / step}
                )
    trial_folder = folder / "trials" / "t0000"
    hostile = [replace(row, problem_id=HOSTILE, prompt=HOSTILE) for row in kept(11, 1, HOSTILE)]
    write_rollouts(rollouts_path(trial_folder, 0, 1), kept(1, 0) + kept(1, 1), 10**6)
    write_rollouts(rollouts_path(trial_folder, 0, 11), hostile, 10**6)
    rows = [
        EvalRow(0, 0, "chain/hard", HOSTILE, i, "wrong", HOSTILE, 7, "truncated") for i in (-1, 0)
    ]
    write_eval_rows(eval_path(trial_folder, 0, 0), rows)


class Unmoved(urllib.request.HTTPRedirectHandler):
    """Follows no redirection."""

    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(Unmoved)


class Page:
    """The running server of a study, and requests to it."""

    def __init__(self, folder):
        self.server = make_server(folder)
        self.url, self.link = self.server.url, self.server.link
        self.key = {"Authorization": f"Bearer {self.server.door.token}"}
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def request(self, path, headers=None, method="GET"):
        """Status, headers and body of a request with the token."""
        return self.request_without(path, self.key | (headers or {}), method)

    def request_without(self, path, headers=None, method="GET"):
        """The same without the token; redirections are not followed."""
        asked = urllib.request.Request(self.url + path, headers=headers or {}, method=method)
        try:
            with OPENER.open(asked, timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def ask(self, path, status=200):
        """The JSON answer, which must be strict."""
        answered, _, body = self.request(f"api/{path}")
        assert answered == status, body
        return json.loads(body, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))

    def send(self, path, data, headers=None, status=200):
        """The JSON answer to JSON data, or to bytes as they are."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        headers = {"Content-Type": "application/json", **self.key, **(headers or {})}
        asked = urllib.request.Request(
            f"{self.url}api/{path}", body, {k: v for k, v in headers.items() if v is not None}
        )
        try:
            with OPENER.open(asked, timeout=60) as answer:
                got, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                got, text = error.code, error.read()
        assert got == status, text
        return json.loads(text)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
