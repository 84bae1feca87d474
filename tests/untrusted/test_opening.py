"""Which files are opened, how far links are followed, and that no opening waits."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from conspo_study.untrusted import StrangeFile, open_regular, read_regular, regular_digest, within

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links, pipes and devices")


@pytest.fixture
def place(tmp_path):
    """A folder with a file `a/b/file`, and links to it and to its folders."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_bytes(b"content")
    (tmp_path / "a/b/link").symlink_to("file")
    (tmp_path / "a/inner").symlink_to("b")
    (tmp_path / "outer").symlink_to("a")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "links_from"),
    [("a/b/link", 1), ("a/inner/file", 2), ("outer/b/file", 3), ("outer/inner/link", 1)],
)
def test_links_are_refused_inside_and_followed_outside(place, path, links_from):
    for inside in range(4):
        if inside < links_from:
            assert read_regular(place / path, 100, inside=inside) == b"content"
        else:
            with pytest.raises(StrangeFile, match="links inside a results directory"):
                read_regular(place / path, 100, inside=inside)


def test_a_relative_path_may_be_shorter_than_what_lies_inside(place, monkeypatch):
    monkeypatch.chdir(place / "a/b")
    assert read_regular(Path("file"), 100, inside=3) == b"content"


@pytest.mark.parametrize("inside", [0, 1])
def test_what_is_not_there_or_may_not_be_read_is_the_usual_error(place, inside):
    with pytest.raises(FileNotFoundError, match="nothing"):
        open_regular(place / "a/nothing", 100, inside=inside)
    with pytest.raises(OSError, match="file/x"):
        open_regular(place / "a/b/file/x", 100, inside=inside)


@pytest.mark.parametrize("inside", [0, 1])
def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path, inside):
    os.mkfifo(tmp_path / "pipe")
    with within(5), pytest.raises(StrangeFile, match="it is a pipe"):
        open_regular(tmp_path / "pipe", 100, inside=inside)


def test_a_device_behind_a_link_that_may_be_followed_is_refused(tmp_path):
    (tmp_path / "zeros").symlink_to("/dev/zero")
    with pytest.raises(StrangeFile, match="it is a device"):
        open_regular(tmp_path / "zeros", None)


def test_a_link_that_may_be_followed_and_leads_to_itself_says_so(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StrangeFile, match="leads to no file"):
        open_regular(tmp_path / "loop", None)


def test_size_is_bounded_for_files_that_do_not_tell_it(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_regular(tmp_path / "file", 5) == b"12345"
    with pytest.raises(StrangeFile, match=r"5 B, and no such file has more than 4 B"):
        read_regular(tmp_path / "file", 4)
    # A file of the kernel says that it has no bytes.
    with pytest.raises(StrangeFile, match="no such file has more"):
        read_regular(Path("/proc/self/smaps"), 100)


def test_the_file_is_left_open_for_nobody(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    before = len([*Path("/proc/self/fd").iterdir()])
    for most in (5, 4):
        for inside in (0, 2):
            try:
                read_regular(tmp_path / "file", most, inside=inside)
            except StrangeFile:
                continue
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_a_digest_has_no_bound_and_follows_no_link_inside(place):
    expected = hashlib.sha256(b"content").hexdigest()
    assert regular_digest(place / "a/b/file", inside=1) == expected
    with pytest.raises(StrangeFile):
        regular_digest(place / "a/b/link", inside=1)
