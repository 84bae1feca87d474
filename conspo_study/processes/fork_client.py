"""Script that Ray starts in place of its `setup_worker.py`: has a warm process fork the worker.

Ray calls it as it would call that script, which imports Ray to read what a runtime environment asks
for and then becomes the worker. This one imports next to nothing. Where the runtime environment
asks for no more than environment variables, it hands the worker's arguments, environment, folder
and standard streams to the fork server, and lives as long as the forked worker does. Otherwise,
and whenever the server fails before the worker runs, it becomes `setup_worker.py`.
"""

import json
import os
import socket
import sys

SERVER = "CONSPO_FORK_SERVER_SOCKET"
"""Environment variable: the server's address; empty for a worker that must be a fresh process."""
READY, GO = b"r", b"g"
"""The forked process is ready to become the worker; the client lets it. A fork that gets no GO
ends: the client has started the worker in another way."""
ANSWER_S = 30.0
"""Longest wait for a fork."""
_CONTEXT = "--serialized-runtime-env-context="
_LANGUAGE = "--language="


def main() -> None:
    """Ask for a fork and wait for its end, or become Ray's own script."""
    arguments = sys.argv[1:]
    try:
        environ = worker_environment(arguments)
    except (AttributeError, TypeError, ValueError):  # another form than Ray's today
        environ = None
    address = (environ or {}).get(SERVER)
    connection = _forked(address, arguments, environ or {}) if address else None
    if connection is None:
        _become_setup_worker(arguments)
        return
    while connection.recv(1):  # nothing more is sent; the connection ends with the worker
        pass


def worker_environment(arguments: list[str]) -> dict[str, str] | None:
    """The worker's environment; None if the arguments ask for more than that, or for something
    unknown."""
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
        return None  # a value that refers to other variables
    return {**os.environ, **variables}


def _forked(address: str, arguments: list[str], environ: dict[str, str]) -> socket.socket | None:
    """A connection that lives as long as the worker that the server has forked; None if there is no
    such worker, and never will be."""
    request = {
        "argv": [a for a in arguments if not a.startswith((_CONTEXT, _LANGUAGE))],
        "environ": environ,
        "folder": os.getcwd(),  # noqa: PTH109, importing pathlib would cost more than all the rest
    }
    payload = json.dumps(request).encode()
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(ANSWER_S)
    try:
        connection.connect(address)
        socket.send_fds(connection, [len(payload).to_bytes(4, "big")], [0, 1, 2])
        connection.sendall(payload)
        if connection.recv(1) == READY:
            connection.sendall(GO)
            connection.settimeout(None)
            return connection
    except OSError:
        pass
    connection.close()
    return None


def _become_setup_worker(arguments: list[str]) -> None:
    # It lies beside the worker's script, which is the first argument that is no flag.
    worker = next(a for a in arguments if a.endswith(".py"))
    setup = os.path.join(os.path.dirname(worker), "setup_worker.py")  # noqa: PTH118, PTH120
    os.execv(sys.executable, [sys.executable, setup, *arguments])


if __name__ == "__main__":
    main()
