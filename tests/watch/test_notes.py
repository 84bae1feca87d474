"""Notes from the page: what is kept, and from whom."""

import json

import pytest
from watched_study import HOSTILE, write_study


def test_a_note_is_kept_told_and_withdrawn(study, watch):
    page = watch(study)
    before = {path.name: path.read_bytes() for path in study.iterdir() if path.is_file()}
    assert page.ask("notes") == {"noted": "", "notes": []} and page.ask("study")["noted"] == ""
    given = {"trial": "t0001", "text": f" looks odd {HOSTILE}\n", "tags": ["odd", "odd", " ask "]}
    told = page.send("notes", given)
    (note,) = told["notes"]
    assert (note["number"], note["trial"], note["tags"]) == (1, "t0001", ["odd", "ask"])
    assert note["text"] == f"looks odd {HOSTILE}"
    assert page.ask("study")["noted"] == told["noted"] != ""
    page.send("notes", {"text": "of the study"})
    assert [note["number"] for note in page.ask("notes")["notes"]] == [1, 2]
    assert [note["number"] for note in page.send("notes", {"withdraws": 1})["notes"]] == [2]
    now = {path.name: path.read_bytes() for path in study.iterdir() if path.is_file()}
    assert now.keys() - before.keys() == {"notes.jsonl"}
    assert all(now[name] == content for name, content in before.items())


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({}, 400, "a text or a tag"),
        ([1], 400, "a JSON object"),
        (b"nonsense", 400, ""),
        (b"", 400, ""),
        ({"text": 7}, 400, "a text and a list of tags"),
        ({"text": "a", "tags": "b"}, 400, "a text and a list of tags"),
        ({"text": "a", "tags": [1]}, 400, "a text and a list of tags"),
        ({"text": "a" * 4001}, 400, "at most 4000 characters, this one 4001"),
        ({"tags": [f"t{i}" for i in range(13)]}, 400, "at most 12 tags"),
        ({"tags": ["a" * 41]}, 400, "of 40 characters"),
        ({"text": "a", "trial": "t9999"}, 404, "not found"),
        ({"withdraws": 1}, 400, "there is no note 1"),
        (b"[" * 70000, 400, "have no body, and notes a short one"),
    ],
)
def test_what_is_no_note_is_refused(study, watch, given, status, said):
    assert said in watch(study).send("notes", given, status=status)["error"]
    assert not (study / "notes.jsonl").exists()


def test_only_the_page_itself_and_holders_of_the_token_add_notes(study, watch):
    page = watch(study)
    host = page.server.server_port
    refused = [
        ({"Authorization": None}, "this page is private"),
        ({"Origin": "https://evil.example"}, "from another page"),
        ({"Origin": "null"}, "from another page"),
        ({"Origin": f"http://localhost:{host + 1}"}, "from another page"),
        ({"Content-Type": "text/plain"}, "application/json"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "application/json"),
        ({"Host": "evil.example"}, "use this server's address"),
    ]
    for headers, said in refused:
        assert said in page.send("notes", {"text": "x"}, headers, status=403)["error"], headers
    assert not (study / "notes.jsonl").exists()
    own = {"Host": f"localhost:{host}", "Origin": f"http://localhost:{host}"}
    assert page.send("notes", {"text": "x"}, own)["notes"]
    page.send("study", {"text": "x"}, status=404)


def test_notes_belong_to_the_study_that_is_named(tmp_path, watch):
    for name in ("a", "b"):
        write_study(tmp_path / name)
    page = watch(tmp_path)
    page.send("notes?of=a", {"text": "here"})
    assert (tmp_path / "a/notes.jsonl").exists() and not (tmp_path / "b/notes.jsonl").exists()
    assert page.ask("notes?of=b")["notes"] == []
    page.send("notes", {"text": "x"}, status=400)
    page.send("notes?of=../a", {"text": "x"}, status=404)


def test_a_folder_without_a_study_takes_no_notes(tmp_path, watch):
    (tmp_path / "nothing").mkdir()
    page = watch(tmp_path / "nothing")
    assert "holds no study" in page.send("notes", {"text": "x"}, status=400)["error"]
    assert not list((tmp_path / "nothing").iterdir())


def test_a_note_file_of_anything_is_read_as_far_as_it_has_notes(study, watch):
    lines = [
        b"nonsense",
        json.dumps({"text": "good", "tags": ["a"]}).encode(),
        b"[]",
        b"7",
        json.dumps({"text": ["x"]}).encode(),
        json.dumps({"withdraws": [1]}).encode(),
        json.dumps({"withdraws": 99}).encode(),
        b'{"text": "torn',
    ]
    (study / "notes.jsonl").write_bytes(b"\n".join(lines))
    page = watch(study)
    assert [note["text"] for note in page.ask("notes")["notes"]] == ["good"]
    told = page.send("notes", {"text": "after a torn line"})
    assert [note["text"] for note in told["notes"]] == ["good", "after a torn line"]
    assert page.send("notes", {"withdraws": told["notes"][1]["number"]})["notes"] == [
        told["notes"][0]
    ]


def test_a_link_takes_no_notes(study, watch, tmp_path):
    (tmp_path / "target").write_text("")
    (study / "notes.jsonl").symlink_to(tmp_path / "target")
    watch(study).send("notes", {"text": "x"}, status=500)
    assert (tmp_path / "target").read_text() == ""


def test_a_huge_note_file_of_somebody_else_is_refused_and_the_study_shown(study, watch):
    with (study / "notes.jsonl").open("wb") as file:
        file.truncate(1 << 30)
    page = watch(study)
    assert "notes.jsonl" in page.ask("notes", status=500)["error"]
    assert len(page.ask("study")["trials"]) == 3
