"""What others can see of the processes of a study: argument lists, sockets and files."""

import socket
from contextlib import suppress
from pathlib import Path

import psutil

LISTENING = "0A"


def command_lines():
    """The argument lists of all processes of this machine, as bytes."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield (process / "cmdline").read_bytes()


def family(pid):
    """The process, as far as it lives, and all of its descendants."""
    with suppress(psutil.NoSuchProcess):
        driver = psutil.Process(pid)
        return [driver, *driver.children(recursive=True)]
    return []


def sockets_of(processes):
    """The process of each open socket, by inode."""
    found = {}
    for process in processes:
        with suppress(OSError):
            for entry in Path(f"/proc/{process.pid}/fd").iterdir():
                with suppress(OSError):
                    name = str(entry.readlink())
                    if name.startswith("socket:["):
                        found[name[8:-1]] = process.pid
    return found


def listening(inodes):
    """Addresses, as (address, port), on which the sockets wait for connections or datagrams."""
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, remote, state, *rest = line.split()
            waits = state == LISTENING if table.startswith("tcp") else remote.endswith(":0000")
            if waits and rest[5] in inodes:
                yield _address(local)


def unix_sockets(inodes):
    """Paths of the Unix sockets that have one; abstract ones begin with @."""
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[6] in inodes and len(fields) > 7:
            yield fields[7]


def files_with(folder, contents, known):
    """The names of `contents`, name to bytes, that a file in the folder holds, with the file.
    known: size of each file that was looked at before; it is updated."""
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_symlink() or not path.is_file() or known.get(path) == path.stat().st_size:
                continue
            known[path] = path.stat().st_size
            data = path.read_bytes()
            yield from ((name, str(path)) for name, value in contents.items() if value in data)


def _address(text):
    digits, port = text.split(":")
    words = bytes.fromhex(digits)
    packed = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    kind = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(kind, packed), int(port, 16)
