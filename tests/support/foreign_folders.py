"""Results folders as a stranger may send them: one thing in each is not what it should be."""

import json
import os
import socket

import pyarrow as pa
import pyarrow.parquet as pq
from growing_study import GrowingStudy
from watched_study import kept

from conspo_study.records import EventKind, TrialEvent
from conspo_study.results import lines
from conspo_study.results.kept import rollouts_path, write_rollouts

TRIAL = "t0000"
LOG, STUDY, SNAPSHOT, LEASE = "log.jsonl", "study.json", "snapshot.json", "driver.json"
STEPS, CONFIG = f"trials/{TRIAL}/steps.jsonl", f"trials/{TRIAL}/config.json"
INCIDENTS = f"trials/{TRIAL}/incidents.jsonl"
EVAL, ROLLOUTS = f"trials/{TRIAL}/eval-0-00000.parquet", f"trials/{TRIAL}/rollouts-0-00001.parquet"
HUGE = 10**30
SECRET = "a secret of the reader"


def sound(folder):
    """A study of one trial that has ended, with all of its files."""
    folder.mkdir()
    study = GrowingStudy(folder)
    study.whole_trial(TRIAL)
    study.log.append(TrialEvent(EventKind.STUDY_FINISHED))
    study.log.close()
    incident = {"type": "step_skipped", "detail": "a gradient", "count": 1}
    (folder / INCIDENTS).write_text(json.dumps(incident) + "\n")
    (folder / SNAPSHOT).write_text("{}")
    write_rollouts(rollouts_path(folder / "trials" / TRIAL, 0, 1), kept(1, 0), 10**6)
    return folder


def instead(name, make):
    """Something else in the place of the file `name`."""

    def change(folder):
        path = folder / name
        path.unlink(missing_ok=True)
        make(path)

    return change


def link_to(target):
    return lambda path: path.symlink_to(target)


def loop(path):
    path.symlink_to(path.name)


def link_out(path):
    """A link to a file of the reader's, outside of the folder."""
    outside = path.parents[len(path.parts) - path.parts.index("foreign")] / f"secret-{path.name}"
    outside.write_text(f'{{"schema": 1, "name": "{SECRET}"}}\n')
    path.symlink_to(outside)


def linked_folder(folder):
    """The trials lie elsewhere."""
    elsewhere = folder.parent / "elsewhere"
    (folder / "trials").rename(elsewhere)
    (folder / "trials").symlink_to(elsewhere)


def bound_socket(path):
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)  # the path of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def content(of):
    return lambda path: path.write_bytes(of)


def sparse(size):
    """A file of zeros, which takes no room on the disk."""

    def make(path):
        with path.open("wb") as file:
            file.truncate(size)

    return make


def nested(depth):
    return b'{"a":' * depth + b"1" + b"}" * depth


def line(seq, event, *, time="2026-01-01T00:00:00.000Z", **fields):
    """A line of a log with a right checksum, whatever it says."""
    record = {"seq": seq, "time": time, "event": event, "trial": "", "data": {}} | fields
    body = json.dumps(record, separators=(",", ":"))[:-1].encode()
    return body + b',"crc32":"' + lines._crc32(body) + b'"}\n'


def one_more_line(event, **fields):
    """The study goes on with a line that no study writes."""

    def change(folder):
        path = folder / LOG
        *before, _, _ = path.read_bytes().splitlines(keepends=True)  # without the two ends
        path.write_bytes(b"".join([*before, line(len(before) + 1, event, **fields)]))

    return change


def report_of(**data):
    seeds = {"0": {"reward": 1.0}, "1": {"reward": 1.0}}
    of = {"step": 1, "steps": 4, "seeds": seeds} | data
    return one_more_line("reported", trial=TRIAL, data=of)


def one_more_row(name, text):
    """A further line of a file of rows."""

    def change(folder):
        with (folder / name).open("a") as file:
            file.write(text + "\n")

    return change


def defined_with(**changes):
    """Fields of study.json, by the dotted path of the definition with `__` for dots."""

    def change(folder):
        path = folder / STUDY
        stored = json.loads(path.read_text())
        for name, value in changes.items():
            *places, last = name.split("__")
            inner = stored["definition"]
            for place in places:
                inner = inner[place]
            inner[last] = value
        path.write_text(json.dumps(stored))

    return change


EVAL_ROW = {
    **{"seed": 0, "step": 0, "problem_set": "s", "problem_id": "p", "sample": 0},
    **{"verdict": "correct", "answer": "1", "response_tokens": 3, "status": "stopped"},
}


def parquet(rows, row=EVAL_ROW, metadata="conspo_eval"):
    """A Parquet file of `rows` equal rows, which the format stores in next to nothing."""

    def make(path):
        size = min(rows, 1 << 20)
        columns = {
            name: pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), size), [value])
            if isinstance(value, str)
            else pa.repeat(pa.scalar(value, pa.int64()), size)
            for name, value in row.items()
        }
        fields = [pa.field(name, values.type, False) for name, values in columns.items()]
        table = pa.table(list(columns.values()), pa.schema(fields))
        with pq.ParquetWriter(path, table.schema, compression="zstd", store_schema=False) as writer:
            for start in range(0, rows, size):
                writer.write_table(table.slice(0, rows - start))
            writer.add_key_value_metadata({metadata: "1"})

    return make


NOT_FILES = {
    "a link out": link_out,
    "a link loop": loop,
    "/dev/zero": link_to("/dev/zero"),
    "a pipe": os.mkfifo,
    "a socket": bound_socket,
    "a folder": lambda path: path.mkdir(),
}
CASES = {
    **{
        f"{name}: {what}": instead(name, make)
        for name in (LOG, STUDY, LEASE, STEPS, CONFIG, EVAL)
        for what, make in NOT_FILES.items()
    },
    "snapshot: a pipe": instead(SNAPSHOT, os.mkfifo),
    "incidents: a pipe": instead(INCIDENTS, os.mkfifo),
    "rollouts: /dev/zero": instead(ROLLOUTS, link_to("/dev/zero")),
    "trials: a link": linked_folder,
    "log: 200 MB of a line": instead(LOG, content(b"x" * 200_000_000)),
    "log: 1 TB of zeros": instead(LOG, sparse(1 << 40)),
    "study.json: 1 TB of zeros": instead(STUDY, sparse(1 << 40)),
    "steps: 1 TB of zeros": instead(STEPS, sparse(1 << 40)),
    "study.json: nested": instead(STUDY, content(nested(100_000))),
    "study.json: nested a little": defined_with(base__data=json.loads(nested(900))),
    "log: nested": one_more_line("incident", data={"type": "x", "of": json.loads(nested(900))}),
    "config: nested": instead(CONFIG, content(nested(900))),
    "incidents: nested": instead(INCIDENTS, content(nested(100_000) + b"\n")),
    "log: a trial that is a number": one_more_line("started", trial=7),
    "log: a trial that is a list": one_more_line("incident", trial=[], data={"type": "x"}),
    "log: a time that is none": one_more_line("incident", time="soon", data={"type": "x"}),
    "log: a time of no text": one_more_line("incident", time=None, data={"type": "x"}),
    "log: step 10^30": report_of(step=HUGE),
    "log: steps 10^30": report_of(steps=HUGE),
    "log: step 10^12": report_of(step=10**12),
    "log: a value of 400 digits": report_of(seeds={"0": {"reward": 10**400}}),
    "log: metrics that are none": report_of(seeds={"0": [1]}),
    "log: a seed of 10^30": report_of(seeds={str(HUGE): {"reward": 1.0}}),
    "steps: step 10^30": one_more_row(STEPS, json.dumps({"seed": 0, "step": HUGE, "loss": 1})),
    "steps: nested": one_more_row(STEPS, nested(100_000).decode()),
    "steps: no object": one_more_row(STEPS, "[1]"),
    "study.json: 10^30 trials": defined_with(trials=HUGE),
    "study.json: evaluated every 10^30": defined_with(base__evaluation__every=HUGE),
    "eval: 20 GiB in 7 kB": instead(EVAL, parquet(1 << 20, EVAL_ROW | {"answer": "x" * 20_000})),
    "eval: 5 million rows": instead(EVAL, parquet(5 << 20)),
    "eval: no Parquet": instead(EVAL, content(b"PAR1" + b"\0" * 100 + b"PAR1")),
}
"""By what is strange: changes of a sound folder."""
