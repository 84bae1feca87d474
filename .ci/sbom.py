"""Writes what is installed beside this package as a CycloneDX list, a bill of materials.

    python .ci/sbom.py build/sbom.cdx.json

Read from the metadata of the environment that runs it: names, versions, licences, what requires
what, and the SHA-256 of the files in hashes.txt for the versions that stand there.
"""

import json
import re
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "conspo-study"


def normal(name):
    """The name as package registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def hashes(path=ROOT / "hashes.txt"):
    """SHA-256 values of the distribution files of `name==version`."""
    found = {}
    for line in path.read_text("utf-8").splitlines():
        pinned, *options = line.split()
        if pinned.startswith("#"):
            continue
        name, _, version = pinned.partition("==")
        values = [option.removeprefix("--hash=sha256:") for option in options]
        found[f"{normal(name)}=={version}"] = values
    return found


def component(dist, known):
    """One installed package."""
    name, version = normal(dist.metadata["Name"]), dist.version
    licence = dist.metadata.get("License-Expression") or dist.metadata.get("License") or ""
    named = [
        line.rpartition(" :: ")[2]
        for line in dist.metadata.get_all("Classifier") or ()
        if line.startswith("License :: ")
    ]
    if not licence or "\n" in licence or len(licence) > 100:  # the whole text
        licence = ", ".join(named)
    purl = f"pkg:pypi/{name}@{version}"
    described = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if licence:
        described["licenses"] = [{"license": {"name": licence}}]
    if values := known.get(f"{name}=={version}"):
        described["hashes"] = [{"alg": "SHA-256", "content": value} for value in values]
    return described


def requires(dist, refs):
    """The installed packages that a package may require, extras included."""
    names = (re.match(r"[A-Za-z0-9._-]+", line)[0] for line in dist.requires or ())
    return sorted({refs[normal(name)] for name in names if normal(name) in refs})


def bill():
    """The whole list, the same for the same environment."""
    installed = {normal(dist.metadata["Name"]): dist for dist in metadata.distributions()}
    known = hashes()
    parts = {name: component(dist, known) for name, dist in sorted(installed.items())}
    refs = {name: part["bom-ref"] for name, part in parts.items()}
    own = parts.pop(PACKAGE)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**own, "type": "application"}},
        "components": list(parts.values()),
        "dependencies": [
            {"ref": refs[name], "dependsOn": requires(installed[name], refs)} for name in refs
        ],
    }


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(bill(), indent=1) + "\n", "utf-8")
    print(f"wrote {target}")
