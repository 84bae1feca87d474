"""What Ray starts in place of its `setup_worker.py`: has the worker forked by a warm process.

Ray calls it as it would call that script, which imports Ray to read what a runtime environment asks
for and then becomes the worker. This one imports next to nothing. Where the runtime environment
asks for no more than environment variables, it hands the worker's arguments, environment, folder
and standard streams to the fork server named by `CONSPO_SPAWNER`, and lives as long as the forked
worker does. Otherwise, and where no server answers, it becomes `setup_worker.py`.
"""

import json
import os
import socket
import sys

SERVER = "CONSPO_SPAWNER"
"""Environment variable: the server's address; empty for a worker that must be a fresh process."""
_CONTEXT = "--serialized-runtime-env-context="
_LANGUAGE = "--language="


def main() -> None:
    """Ask for a fork and wait for its end, or become Ray's own script."""
    arguments = sys.argv[1:]
    environ = _environment(arguments)
    connection = socket.socket(socket.AF_UNIX)
    try:
        if environ is None:
            raise ValueError("a task for Ray's own script")
        connection.connect(environ[SERVER])
    except (KeyError, ValueError, OSError):
        _become_setup_worker(arguments)
        return
    request = {
        "argv": [a for a in arguments if not a.startswith((_CONTEXT, _LANGUAGE))],
        "environ": environ,
        "folder": os.getcwd(),  # noqa: PTH109, importing pathlib would cost more than all the rest
    }
    payload = json.dumps(request).encode()
    socket.send_fds(connection, [len(payload).to_bytes(4, "big")], [0, 1, 2])
    connection.sendall(payload)
    while connection.recv(1):  # nothing is ever sent; the connection ends with the worker
        pass


def _environment(arguments: list[str]) -> dict[str, str] | None:
    """The worker's environment; None where more than that is asked for, or something unknown."""
    if not arguments or not arguments[0].endswith("default_worker.py"):
        return None
    if any(a.startswith(_LANGUAGE) and a != f"{_LANGUAGE}PYTHON" for a in arguments):
        return None
    asked: dict[str, object] = {}
    for argument in arguments:
        if argument.startswith(_CONTEXT):
            asked = json.loads(argument.removeprefix(_CONTEXT))
    variables = asked.pop("env_vars", None) or {}
    if asked.pop("py_executable", sys.executable) != sys.executable or any(asked.values()):
        return None
    if not isinstance(variables, dict) or any("$" in value for value in variables.values()):
        return None  # which refers to other variables
    return {**os.environ, **variables}


def _become_setup_worker(arguments: list[str]) -> None:
    # It lies beside the worker's script, which is the first argument that is no flag.
    worker = next(a for a in arguments if a.endswith(".py"))
    setup = os.path.join(os.path.dirname(worker), "setup_worker.py")  # noqa: PTH118, PTH120
    os.execv(sys.executable, [sys.executable, setup, *arguments])


if __name__ == "__main__":
    main()
