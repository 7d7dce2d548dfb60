"""The demo as people start it: it ends well and leaves nothing, or says what failed and leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from commonhold.demo import story
from commonhold.demo.stage import Stage, refused
from commonhold.demo.steps import DemoFailed, Steps, require
from commonhold.errors import NotFound, Refused

from ..conftest import processes_of, until

PATIENCE = 170


@dataclass
class Demo:
    """A demo whose temporary files lie in `folder`."""

    folder: Path

    def start(self, **more: str) -> subprocess.Popen[str]:
        self.folder.mkdir(exist_ok=True)
        environment = {**os.environ, "TMPDIR": str(self.folder), **more}
        words = [sys.executable, "-m", "commonhold", "demo"]
        return subprocess.Popen(
            words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def require_nothing_left(self) -> None:
        assert not list(self.folder.glob("commonhold-demo-*"))
        until(lambda: not processes_of(self.folder), "no process of the demo lives", 10)


@pytest.fixture
def demo(tmp_path):
    return Demo(tmp_path / "stage")


@pytest.mark.alone  # its guests have the weight that guests have: beside four tests they got next to nothing
@pytest.mark.timeout(200)
def test_it_ends_well_and_leaves_nothing(demo):
    process = demo.start()
    out, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    lines = out.splitlines()
    assert lines[0].split() == ["shape", "what", "verified", "seconds"]
    assert {line.split()[0] for line in lines[1:]} == {"peer-to-peer", "trusting", "client-server"}
    assert all(float(line.split()[-1]) >= 0 for line in lines[1:])
    assert "everything is cleared away" in lines[-1]
    assert said.endswith("All of it was verified; nothing is left running, and nothing on the disk.\n")
    assert said.count("verified:") == len(lines) - 1
    demo.require_nothing_left()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=["ctrl_c", "kill"])
def test_a_demo_ended_in_the_middle_leaves_nothing(demo, ending):
    process = demo.start()
    until(lambda: any(demo.folder.glob("commonhold-demo-*/*/home/gateway.json")), "the first node serves")
    process.send_signal(ending)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith("commonhold: Interrupted.\n")
    demo.require_nothing_left()


def test_without_gzip_it_says_so_before_it_begins(demo):
    process = demo.start(PATH="/nonexistent")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said == (
        "commonhold: The demo compresses files with gzip, which is not on this computer.\nhint: install gzip\n"
    )
    demo.require_nothing_left()


def test_on_a_full_disk_it_fails_with_one_sentence_and_leaves_nothing(demo):
    demo.folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(demo.folder)]
    if os.geteuid() != 0 or subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("this user may mount no small disk here")
    try:
        process = demo.start()
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1, said
        *_, sentence, hint = said.splitlines()
        assert sentence.startswith("commonhold: ")
        assert "No space left on device" in sentence or "is full" in sentence
        assert hint.startswith("hint: ")
        demo.require_nothing_left()
    finally:
        subprocess.run(["umount", "--lazy", str(demo.folder)], check=True)


def test_a_step_tells_what_did_not_hold():
    heard: list[str] = []
    steps = Steps(heard.append)
    steps.act("peer-to-peer", "One act.")
    with steps.step("something is done") as step:
        step.verified = "it was"
    with pytest.raises(DemoFailed, match=r"a door stays shut: Nothing is there\."), steps.step("a door stays shut"):
        raise NotFound("Nothing is there.", "look elsewhere")
    with pytest.raises(DemoFailed, match="files are copied: no room here"), steps.step("files are copied"):
        raise shutil.Error([("a", "b", "no room here")])
    with pytest.raises(DemoFailed, match=r"a file is read: .*No such file"), steps.step("a file is read"):
        Path("/nonexistent/x").read_bytes()
    with pytest.raises(DemoFailed, match="two is not three"):
        require(False, "two is not three")
    assert [(done.what, done.verified) for done in steps.done] == [("something is done", "it was")]
    assert "    verified: it was (0.0 s)" in heard


def test_what_should_be_refused_must_be():
    def refuse():
        raise Refused("No.")

    assert refused(refuse, "a wish") == "No."
    with pytest.raises(DemoFailed, match="a wish: nobody refused it"):
        refused(lambda: None, "a wish")


def test_a_stage_ends_all_nodes_whatever_became_of_their_homes(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with Stage() as stage:
        first, second = stage.computer("first", "ann"), stage.computer("second", "bob")
        first.create("casa")
        second.join(first)
        first.home.settings_file.write_bytes(b"{")
    until(lambda: not processes_of(tmp_path), "both have ended", 10)
    assert list(tmp_path.iterdir()) == []


def test_the_story_is_told_line_by_line(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(DemoFailed):
        story.play(lambda _: None)
