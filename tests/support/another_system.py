"""Makes this process look as if it ran on macOS or Windows, as far as Python shows that.

    python another_system.py win32 "conspo status results/study" "studies/ablation.py --dry-run"

runs the commands one after the other, and prints the exit status of each.
"""

import importlib
import os
import pathlib
import runpy
import shlex
import signal
import sys
import sysconfig

LINUX_ONLY = {
    "os": ("sched_getaffinity", "sched_setaffinity", "pidfd_open", "memfd_create", "eventfd"),
    "signal": ("pidfd_send_signal",),
}
POSIX_ONLY = {
    "os": ("fork", "setsid", "getpgid", "killpg", "getuid", "geteuid", "sysconf"),
    "signal": ("SIGKILL", "SIGUSR1", "SIGCHLD", "SIGHUP"),
}
POSIX_MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "pty", "syslog")

LIBRARIES = (
    *("filelock", "matplotlib.pyplot", "optuna", "pandas", "psutil", "pyarrow.parquet"),
    *("rich.live", "scipy.stats", "tyro"),
    *("http.server", "multiprocessing", "subprocess", "webbrowser"),
)


def pretend(system):
    """Let `system` be `darwin` or `win32` for all of the project's code that is imported next."""
    _import_libraries()
    absent = [LINUX_ONLY] + ([POSIX_ONLY] if system == "win32" else [])
    for module in (os, signal):
        for name in (n for names in absent for n in names[module.__name__]):
            if hasattr(module, name):
                delattr(module, name)
    if system == "win32":
        sys.modules.update(dict.fromkeys(POSIX_MODULES))  # importing them raises ImportError
    for name in ("open", "read_text", "read_bytes", "readlink", "iterdir"):
        setattr(pathlib.Path, name, _without_proc(getattr(pathlib.Path, name)))
    sys.platform = system


def _without_proc(method):
    def call(path, *arguments, **options):
        if path.parts[:2] == ("/", "proc"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return method(path, *arguments, **options)

    return call


def _import_libraries():
    """Import those that choose their own parts by the system, while it is the true one."""
    for name in LIBRARIES:
        importlib.import_module(name)
    sysconfig.get_config_vars()


def run(command):
    """Run `conspo ...`, or a script with its arguments, in this process; returns its exit
    status."""
    sys.argv = shlex.split(command)
    try:
        if sys.argv[0] == "conspo":
            from conspo_study.commands.command_line import main

            return main()
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as leaving:
        return leaving.code
    return 0


if __name__ == "__main__":
    pretend(sys.argv[1])
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
    for command in sys.argv[2:]:
        print(f"exit status {run(command)}", flush=True)
