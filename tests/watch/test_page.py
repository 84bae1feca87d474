"""The page itself: its files, and how a browser shows them."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conspo_study.results.log import read_log

PAGE = Path(__file__).resolve().parents[2] / "conspo_study/watch/page"
SCRIPTS = sorted(PAGE.glob("*.js"))
NODE = shutil.which("node")
BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_make_no_markup_and_load_only_each_other(path):
    text = path.read_text()
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|Function\(|DOMParser"
    )
    assert not re.search(forbidden, text)
    assert set(re.findall(r"https?://[^\"'` ]*", text)) <= {"http://www.w3.org/2000/svg"}
    for module in re.findall(r'from "([^"]+)"', text):
        assert module.startswith("./") and (PAGE / module).is_file(), module
    assert len(text.splitlines()) <= 400


def test_the_vendored_library_is_told_with_version_and_licence():
    script = (PAGE / "vendor/uPlot.iife.min.js").read_text()
    version = re.search(r"\(v([\d.]+)\)", script)[1]
    told = (PAGE / "vendor/README.md").read_text()
    assert f"uPlot](https://github.com/leeoniya/uPlot) {version}, MIT" in told
    assert "The MIT License" in (PAGE / "vendor/LICENSE").read_text()
    forbidden = r"innerHTML|document\.write|\beval\(|Function\(|fetch\(|setAttribute|insertRule"
    assert not re.search(forbidden, script), "the page's security policy would refuse it"


def test_the_page_loads_only_its_own_files():
    text = (PAGE / "index.html").read_text() + (PAGE / "style.css").read_text()
    assert "://" not in text and "@import" not in text and "url(" not in text
    for name in re.findall(r'(?:src|href)="/([^"]+)"', text):
        assert (PAGE / name).is_file(), name


def dom(url, folder, *options):
    """The document as a browser has made it, after some seconds of the page's own clock."""
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command = [BROWSER, *flags, f"--user-data-dir={folder}", "--virtual-time-budget=8000", *options]
    # Its cache and crash reports are its own affair.
    environment = os.environ | {"HOME": str(folder)}
    run = subprocess.run(
        [*command, "--enable-logging=stderr", "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=180,
        env=environment,
    )
    errors = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    assert not errors, errors
    return run.stdout


def text_of(document):
    return html.unescape(re.sub(r"<[^>]+>", " ", document))


@browser
@pytest.mark.slow
def test_the_overview_shows_trials_curves_settings_and_map(study, watch, tmp_path):
    document = dom(watch(study).url, tmp_path / "browser")
    said = text_of(document)
    assert "mini" in re.search("<title>(.*?)</title>", document)[1]
    for words in ("t0000", "finished", "failed", "running", "0.600 ± 0.141", "(0.550)", "best"):
        assert words in said, words
    assert f"it said {HOSTILE}" in said, "the cause is text"
    assert document.count("<script") == 1 and "<img" not in document
    assert re.search(r'<g class="series[^"]*" data-trial="t0002"', document), "parallel coordinates"
    assert document.count("<canvas") == 1, "curves"
    assert document.count('class="cell') == 3, "the map of tau and margin"
    assert "holds no study" not in said


@browser
@pytest.mark.slow
def test_what_a_model_wrote_is_shown_as_text(study, watch, tmp_path):
    document = dom(f"{watch(study).url}#/trial/t0000", tmp_path / "browser")
    said = text_of(document)
    assert said.count(HOSTILE) >= 4 + 3, "responses, prompt, problem, label, configuration"
    assert document.count("<script") == 1 and "<img" not in document
    assert "t0000 · mini" in re.search("<title>(.*?)</title>", document)[1]
    for words in ("step 11, seed 0", "12 responses", "credit +0.100", "no answer", "suggested"):
        assert words in said, words
    assert "loss" in (names := re.findall("<figcaption>([^<]*)", document))
    assert document.count("<canvas") == len(names)


@browser
@pytest.mark.slow
def test_the_page_tells_what_is_wrong_with_a_study(study, watch, tmp_path):
    lines = (study / "log.jsonl").read_bytes().split(b"\n")
    lines[9] = lines[9].replace(b'"t0001"', b'"t0009"')
    (study / "log.jsonl").write_bytes(b"\n".join(lines))
    said = text_of(dom(watch(study).url, tmp_path / "browser"))
    assert "line 10 of log.jsonl is damaged" in said and "conspo repair" in said
    assert "t0000" in said and "t0002" not in said, "what is before the damage is shown"
    with pytest.raises(ValueError, match="line 10"):
        read_log(study / "log.jsonl")
    said = text_of(dom(watch(tmp_path / "nothing").url, tmp_path / "browser"))
    assert "holds no study" in said and "No trial has started" in said


@pytest.mark.skipif(NODE is None, reason="no Node is installed")
def test_values_of_settings_are_told_apart_and_ordered(tmp_path):
    shutil.copytree(PAGE, tmp_path / "page")
    (tmp_path / "page" / "package.json").write_text('{"type": "module"}')
    (tmp_path / "page" / "it.js").write_text(
        """
        globalThis.window = { matchMedia: () => ({ matches: false }) };
        const { plain, firstLine } = await import("./format.js");
        const { order } = await import("./colours.js");
        const { settingAxis } = await import("./scales.js");
        const values = ["b", 2, "2", null, true, "true", ["a", 1], undefined, 0.5, "a", "", "null"];
        const axis = settingAxis(values);
        console.log(JSON.stringify({
          shown: [...values].sort(order).map(plain),
          places: values.map(axis.place),
          marks: axis.marks.map(([, text]) => text),
          causes: ["\\n1 problem:\\n  - it\\n  - more", "a\\nb", "", "all:"].map(firstLine),
        }));
        """
    )
    run = subprocess.run(
        [NODE, "it.js"], cwd=tmp_path / "page", capture_output=True, encoding="utf-8", check=True
    )
    told = json.loads(run.stdout)
    shown = ["null", "0.5", "2", "", '"2"', "a", "b", '"null"', '"true"', '["a",1]', "true"]
    assert told["shown"] == [*shown, "–"], "what is absent is last to JavaScript's own sort"
    assert told["marks"] == shown
    assert told["places"].count(None) == 1 and len(set(told["places"])) == len(told["places"])
    assert told["causes"] == ["1 problem: it", "a", "", "all:"]
