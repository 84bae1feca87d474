"""A Ray on which studies of several tests run, with the fork server of a study's own Ray.

As a script it prints its address, and ends when its standard input does.
"""

import os
import subprocess
import sys
from contextlib import contextmanager


@contextmanager
def started_ray():
    """Start the script; yields the variables by which a study finds its Ray."""
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        address, _, token = process.stdout.readline().strip().partition(" ")
        assert address, "Ray did not start"
        yield {
            "RAY_ADDRESS": address,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": token,
            # Or Ray would look for it on another interface than the loopback one.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        }
        process.stdin.close()
        process.wait(60)


def main():
    from conspo_study.cluster.connection import RAY_SETTINGS, ray_cluster

    for name, value in RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ.pop("RAY_ADDRESS", None)
    with ray_cluster() as cluster:
        import ray

        print(ray.get_runtime_context().gcs_address, cluster.token, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
