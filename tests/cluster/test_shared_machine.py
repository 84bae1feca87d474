"""On a machine with other users, nobody reads a study, or runs code as its user: one whole study
with two workers a trial, looked at from outside while it runs."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import pytest
from onlooker import command_lines, family, files_with, listening, sockets_of, unix_sockets
from running_studies import ended_in_order
from studies_under_fire import LIMIT_S

from conspo_study.results.log import read_log
from conspo_study.results.table import build_table

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SCRIPT = Path(__file__).parents[1] / "support" / "small_study.py"
SECRETS = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
    *("HF_TOKEN", "WANDB_API_KEY", "OPENAI_API_KEY", "MLFLOW_TRACKING_PASSWORD", "MY_SECRET"),
    "http_proxy",
)
DRIVER = """
import logging, ray, sys
ray.init(address=sys.argv[1], logging_level=logging.ERROR, log_to_driver=False)
print("ran:", ray.get(ray.remote(num_cpus=0)(lambda: 6 * 7).remote(), timeout=60))
"""
HOST = "host-" + secrets.token_hex(6)
NAMED = ("unshare", "--uts", "sh", "-c", f'hostname {HOST} && exec "$@"', "sh")
STRANGER = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
SEARCH_S = 2.0
"""Between two looks at sockets and files."""


def works(*command):
    try:
        return subprocess.run([*command, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


@dataclass
class Seen:
    """What was seen of a study from its start to its end."""

    results: Path
    home: Path
    place: Path
    """TMPDIR of the study."""
    output: str = ""
    status: int | None = None
    folder: Path = Path()
    """The study's temporary folder."""
    mode: int = 0
    """Of that folder."""
    in_arguments: set = field(default_factory=set)
    """Names of secrets that an argument list held."""
    in_files: set = field(default_factory=set)
    """Names of secrets that a file held, with the file."""
    addresses: set = field(default_factory=set)
    """Every (address, port) that a process of the study listened on."""
    paths: set = field(default_factory=set)
    """Of Unix sockets."""
    answers: dict = field(default_factory=dict)
    """Output of drivers and status of requests, by what they presented."""
    as_another_user: str = ""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """A study that ran to its end, and what was seen of it."""
    base = tmp_path_factory.mktemp("shared")
    place = Path(tempfile.mkdtemp(prefix="own-", dir="/tmp"))
    seen = Seen(base / "results", base / "home", place)
    seen.home.mkdir()
    shutil.copy(SCRIPT, base / "small.py")
    canaries = {name: f"canary{secrets.token_hex(16)}" for name in SECRETS}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = {
        **clean,
        **canaries,
        "http_proxy": f"http://me:{canaries['http_proxy']}@127.0.0.1:9",
        "no_proxy": "*",
        "HOME": str(seen.home),
        "TMPDIR": str(place),
        "CONSPO_STUDY_CACHE": str(base / "cache"),
    }
    command = [
        *(NAMED if works(*NAMED) else ()),
        *(sys.executable, str(base / "small.py"), "--preset", "quick"),
        *("--set", "train.workers=2", f"--results={seen.results}"),
    ]
    hidden = {name: value.encode() for name, value in canaries.items()}
    output = base / "output.txt"
    try:
        with (
            output.open("wb") as file,
            ended_in_order(
                subprocess.Popen(command, stdout=file, stderr=file, env=environment, cwd=base)
            ) as study,
        ):
            watch(study, seen, hidden, output, clean)
        seen.output, seen.status = output.read_text(), study.returncode
        seen.in_files |= set(files_with(base, hidden, {}))
        yield seen
    finally:
        shutil.rmtree(place, ignore_errors=True)


def watch(study, seen, hidden, output, clean):
    """Look at the study again and again until it ends, and once it runs, try what is forbidden."""
    known, searched, tried, drivers = {}, 0.0, False, {}
    deadline = time.monotonic() + LIMIT_S
    while study.poll() is None:
        assert time.monotonic() < deadline, output.read_text()
        for line in command_lines():
            seen.in_arguments |= {name for name, value in hidden.items() if value in line}
        found = re.search(r"(http://\S+); it asks .* `cat (\S+)` prints", output.read_text())
        if found and not tried:
            tried = True
            token = Path(found[2])
            seen.folder, seen.mode = token.parent, token.parent.stat().st_mode & 0o777
            hidden["token"] = token.read_bytes()
            known[token] = len(hidden["token"])  # the one file that may hold it
            drivers = start_drivers(seen, clean, hidden["token"].decode())
            seen.answers |= ask_dashboard(found[1], hidden["token"].decode())
            seen.as_another_user = act_as_another_user(seen.folder, token)
        if tried and time.monotonic() - searched > SEARCH_S:
            inodes = sockets_of(family(study.pid))
            seen.addresses |= set(listening(inodes))
            seen.paths |= set(unix_sockets(inodes))
            seen.in_files |= set(files_with(seen.folder, hidden, known))
            searched = time.monotonic()
        # Ray gives up a start that takes long; what it starts with is there later, too.
        time.sleep(0.2 if tried else 2.0)
    for name, driver in drivers.items():
        seen.answers[name] = driver.communicate(timeout=60)[0]


def start_drivers(seen, clean, token):
    """Connect to Ray with the token, without one and with another; all on the study's machine."""
    (port,) = seen.folder.glob("ray/session_latest/gcs_server_port_*")
    presented = {
        "driver with the token": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token},
        "driver without": {"RAY_AUTH_MODE": "disabled"},
        "driver with another": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * len(token)},
    }
    # Or Ray would look for the address at another interface, where nothing listens.
    here = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_NUM_REDIS_GET_RETRIES": "2"}
    return {
        name: subprocess.Popen(
            [sys.executable, "-c", DRIVER, f"127.0.0.1:{port.read_text()}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**clean, **here, "HOME": "/nonexistent", **variables},
        )
        for name, variables in presented.items()
    }


def ask_dashboard(url, token):
    """Status of requests for a job that would run a command, and for what the dashboard shows."""
    job = json.dumps({"entrypoint": "true"}).encode()
    bearer = {"Authorization": f"Bearer {token}"}
    return {
        "job without": status_of(f"{url}/api/jobs/", job),
        "job with another": status_of(f"{url}/api/jobs/", job, {"Authorization": "Bearer 0"}),
        "job with the token": status_of(f"{url}/api/jobs/", job, bearer),
        "actors without": status_of(f"{url}/logical/actors"),
        "actors with the token": status_of(f"{url}/logical/actors", headers=bearer),
    }


def status_of(url, data=None, headers=None):
    headers = {"Content-Type": "application/json", **(headers or {})}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as got:
            return got.status
    except urllib.error.HTTPError as error:
        return error.code


def act_as_another_user(folder, token):
    """What reading the token, listing the folder and its sockets, and using a socket come to."""
    if not works(*STRANGER):
        return ""
    (raylet,) = folder.glob("ray/session_latest/sockets/raylet")
    use = f"import socket; socket.socket(socket.AF_UNIX).connect({str(raylet)!r})"
    tries = [
        *(["cat", token], ["ls", folder], ["ls", raylet.parent], ["ls", folder / "tmp"]),
        [sys.executable, "-I", "-S", "-c", use],
    ]
    return "".join(
        subprocess.run([*STRANGER, *one], capture_output=True, text=True).stderr + "\n"
        for one in tries
    )


def test_the_study_ends_in_order_with_two_workers_a_trial(seen):
    assert seen.status == 0, seen.output
    assert build_table(read_log(seen.results / "small" / "log.jsonl")).finished


def test_no_argument_list_holds_a_secret(seen):
    assert seen.in_arguments == set()


def test_no_file_of_the_study_or_of_ray_holds_a_secret(seen):
    assert seen.in_files == set()


def test_all_but_the_rendezvous_of_a_trial_listens_on_the_loopback_interface(seen):
    assert len(seen.addresses) > 10
    foreign = {one for one in seen.addresses if not is_loopback(one[0])}
    # PyTorch's store for the workers of a trial, which cannot be bound: one for each of two trials.
    assert len(foreign) <= 2, foreign


def is_loopback(text):
    address = ip_address(text)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def test_unix_sockets_lie_in_a_folder_that_only_the_user_can_enter(seen):
    assert seen.mode == 0o700
    assert any(path.endswith("/raylet") for path in seen.paths)
    assert [path for path in seen.paths if not path.startswith(f"{seen.folder}/")] == []


def test_ray_asks_drivers_and_jobs_for_the_study_s_token(seen):
    assert "ran: 42" in seen.answers["driver with the token"]
    for name in ("driver without", "driver with another"):
        assert "ran:" not in seen.answers[name] and "Error" in seen.answers[name], name
    assert (seen.answers["job with the token"], seen.answers["actors with the token"]) == (200, 200)
    assert seen.answers["job without"] == seen.answers["actors without"] == 401
    assert seen.answers["job with another"] in (401, 403)


@pytest.mark.skipif(not works(*STRANGER), reason="this user cannot become another")
def test_another_user_reads_and_uses_nothing(seen):
    lines = [line for line in seen.as_another_user.splitlines() if line]
    assert sum("ermission denied" in line for line in lines) == 5, seen.as_another_user


def test_nothing_is_left_but_the_results(seen):
    assert list(seen.place.iterdir()) == []
    assert not (seen.home / ".ray").exists()


def test_results_hold_no_pickle_and_not_the_machine_s_name(seen):
    files = [path for path in seen.results.rglob("*") if path.is_file()]
    assert len(files) > 20 and not (seen.results / "small" / "ray" / "tune").exists()
    pickled = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
    assert [p for p in files if p.suffix == ".pkl" or p.read_bytes()[:2] in pickled] == []
    assert [p for p in files if HOST.encode() in p.read_bytes()] == []
