"""Stand-in for the Python executable of a Ray worker: has the worker forked by a warm process.

Run as `python -I -S spawn_client.py SCRIPT ARGUMENTS...`, so it imports next to nothing. It hands
its arguments, environment, folder and standard streams to the fork server named by
`CONSPO_SPAWNER` and lives as long as the forked worker does. Without a server that answers (on the
other nodes of a cluster there is none) it becomes a plain Python process.
"""

import json
import os
import socket
import sys

SERVER = "CONSPO_SPAWNER"


def main() -> None:
    """Ask for a fork and wait for its end, or exec Python."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(os.environ[SERVER])
    except (KeyError, OSError):
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    # os.getcwd, since importing pathlib would cost more than all the rest.
    request = {"argv": sys.argv[1:], "environ": dict(os.environ), "folder": os.getcwd()}  # noqa: PTH109
    payload = json.dumps(request).encode()
    socket.send_fds(connection, [len(payload).to_bytes(4, "big")], [0, 1, 2])
    connection.sendall(payload)
    while connection.recv(1):  # nothing is ever sent; the connection ends with the worker
        pass


if __name__ == "__main__":
    main()
