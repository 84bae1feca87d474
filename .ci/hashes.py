"""Writes hashes.txt: the SHA-256 of the file of every package that constraints.txt pins.

    python .ci/hashes.py REPORT

REPORT is pip's own, of an installation that was tried and not made (`make hashes`). It names what
pip would have fetched for this machine's Python and platform. Files that lie on this machine may
have been built on it, so that their hash means nothing elsewhere: they are named in a comment.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def lines(report):
    """The content of hashes.txt, in the order of the names."""
    hashed, local = [], []
    for item in report["install"]:
        pinned = f"{item['metadata']['name']}=={item['metadata']['version']}"
        download = item["download_info"]
        if not download["url"].startswith("https://"):
            local.append(pinned)
            continue
        hashed.append(f"{pinned} --hash=sha256:{download['archive_info']['hashes']['sha256']}")
    where = report["environment"]
    python = f"{where['implementation_name']} {where['python_version']}"
    system = f"{where['sys_platform']} {where['platform_machine']}"
    yield f"# For {python} on {system}; written by `make hashes`."
    yield "# pip install --no-deps --require-hashes -r hashes.txt"
    yield "# torch has several builds under one version, and is left out: choose yours."
    if local:
        yield f"# Without a hash, since no download: {', '.join(sorted(local, key=str.lower))}"
    yield from sorted(hashed, key=str.lower)


if __name__ == "__main__":
    report = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    target = ROOT / "hashes.txt"
    target.write_text("\n".join(lines(report)) + "\n", "utf-8")
    print(f"wrote {target}")
