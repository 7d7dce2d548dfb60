"""A node as a process: starting, surviving, ending, and what is left of it."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from logging.handlers import RotatingFileHandler

import psutil
import pytest

from commonhold.api import connect
from commonhold.errors import Conflict, NodeNotRunning
from commonhold.node import background, founding
from commonhold.node.process import LOG_BYTES, LOG_FILES, _log_to

from ..conftest import PATIENCE, processes_of, until


@pytest.fixture
def one(computer):
    """A home that has founded a network and whose node is down."""
    made = computer("one", "ann")
    founding.create(made.home, "casa", person="ann", computer="one", listen=[made.address])
    return made


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_node_outlives_whoever_started_it_and_down_leaves_no_process_and_no_card(one):
    starter = subprocess.run(
        [sys.executable, "-c", STARTER, str(one.home)], capture_output=True, text=True, check=True, timeout=60
    )
    assert gone(int(starter.stdout))
    one.attach()
    assert one.net.status().running
    node = psutil.Process(one.pid)
    assert os.getsid(one.pid) == one.pid, "a session of its own: no terminal ends it"
    assert node.cwd() == "/"
    assert one.home.gateway_file.exists()
    assert one.typed("down").out == "The node of one has stopped.\n"
    assert gone(one.pid)
    assert not one.home.gateway_file.exists()
    assert one.typed("down", code=5).hint == "commonhold up"
    assert not [entry.name for entry in one.home.folder.iterdir() if entry.name.endswith(("-wal", ".new"))]


STARTER = """
import os, sys
from commonhold.home import Home
from commonhold.node import background
background.start(Home.find(sys.argv[1]))
print(os.getpid())
"""


def test_after_a_kill_the_lock_is_free_and_the_state_is_whole_and_its_card_ends_nobody_else(one, tmp_path):
    """The card's process id may be another program's by now: it goes before the next node serves."""
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    one.up()
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "a.txt").write_text("still here")
    one.net.share(tmp_path / "box", to="members", verb="read")
    code = one.net.invite().code
    one.kill()
    assert one.home.gateway_file.exists(), "nobody took it back"
    assert not background.running(one.home)
    assert one.typed("ls", code=5).hint == "commonhold up"
    try:
        card = one.home.gateway_file.read_text().replace(f'"pid":{one.pid}', f'"pid":{stranger.pid}')
        assert str(stranger.pid) in card
        one.home.gateway_file.write_text(card)
        with pytest.raises(NodeNotRunning):
            background.stop(one.home)
        one.up()
        assert [offer.share for offer in one.net.status().shares] == ["box"]
        assert [rule.rule for rule in one.net.rules("box")] == ["allow members read box"]
        assert [each.number for each in one.net.status().invitations] == [int(code.partition("-")[0])]
        assert b"".join(one.net.cat("one:box/a.txt")) == b"still here"
        background.stop(one.home)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_node_that_is_just_starting_can_be_ended(one):
    starting = subprocess.Popen(one.words("up"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: background.running(one.home), "it holds the lock")
    background.stop(one.home)
    starting.wait(60)
    assert not background.running(one.home)
    assert not processes_of(one.folder)


def test_a_start_that_is_interrupted_leaves_no_node(one):
    starting = subprocess.Popen(one.words("up"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: [p for p in processes_of(one.folder) if "--foreground" in p.cmdline()], "the node's process is there")
    starting.send_signal(signal.SIGINT)
    code = starting.wait(60)
    if code == 0:  # it was ready before the signal came
        one.typed("down")
    else:
        assert code == 130
    until(lambda: not processes_of(one.folder), "nothing is left")


def test_neither_sigterm_nor_a_kill_leaves_a_sandbox_or_a_lock_and_the_job_is_taken_up_again(one):
    one.up()
    job = one.net.run("sleep 600", wait=False).job
    leaves_nothing(one, job, signal.SIGTERM)
    one.up()
    leaves_nothing(one, job, signal.SIGKILL)


def leaves_nothing(one, job, ending):
    """A node with a task at work, when that signal ends it."""
    until(lambda: one.net.job(job).running == 1, f"the task runs before {ending!r}")
    children = psutil.Process(one.pid).children(recursive=True)
    assert children, "a sandbox"
    assert not [child for child in children if str(one.home.lock) in {file.path for file in opened(child)}]
    node = psutil.Process(one.pid)
    node.send_signal(ending)
    node.wait(PATIENCE)
    with one.home.lock.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    until(lambda: all(gone(child.pid) for child in children), f"its sandboxes end by {ending!r}")


def opened(process):
    try:
        return process.open_files()
    except psutil.Error:
        return []


def test_ctrl_c_of_a_get_leaves_no_half_file(one, tmp_path):
    one.up()
    (tmp_path / "box").mkdir()
    with (tmp_path / "box" / "large").open("wb") as file:
        file.truncate(3 * 2**30)  # sparse: takes no room here, and some seconds over TLS
    one.net.share(tmp_path / "box")
    there = tmp_path / "there"
    there.mkdir()
    getting = subprocess.Popen(
        one.words("get", "one:box/large", there), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: any(there.rglob("*")) and getting.poll() is None, "bytes come")
    getting.send_signal(signal.SIGINT)
    _, said = getting.communicate(timeout=60)
    assert getting.returncode == 130
    assert said == "commonhold: Interrupted.\n"
    assert not (there / "large").exists()
    assert one.net.status().running


def test_ctrl_c_ends_a_node_in_the_foreground(one):
    node = subprocess.Popen(one.words("up", "--foreground"), stderr=subprocess.DEVNULL)
    until(lambda: connect(one.home), "it serves").close()
    node.send_signal(signal.SIGINT)
    assert node.wait(60) == 0
    assert not one.home.gateway_file.exists()


def test_a_node_whose_home_is_removed_ends(one):
    """No command would find it, and what it acknowledged would be on no disk."""
    one.up()
    node = psutil.Process(one.pid)
    one.net.close()
    shutil.rmtree(one.home.folder)
    node.wait(PATIENCE)
    assert not one.home.folder.exists(), "it made nothing there again"


def test_the_log_rotates(one):
    root = logging.getLogger()
    before, level, hook = list(root.handlers), root.level, sys.excepthook
    for handler in before:
        root.removeHandler(handler)
    try:
        _log_to(one.home)
        (handler,) = root.handlers
        assert isinstance(handler, RotatingFileHandler)
        assert (handler.maxBytes, handler.backupCount) == (LOG_BYTES, LOG_FILES)
        for number in range(5 * LOG_BYTES // 4000):
            logging.getLogger("commonhold.test").info("%s %s", number, "x" * 4000)
        handler.close()
    finally:
        root.handlers[:], sys.excepthook = before, hook
        root.setLevel(level)
    logs = sorted(path.name for path in one.home.folder.glob("node.log*"))
    assert logs == ["node.log", "node.log.1", "node.log.2", "node.log.3"]
    assert all(path.stat().st_size <= LOG_BYTES for path in one.home.folder.glob("node.log*"))


def test_the_lock_is_one_per_home_and_dies_with_its_holder(one):
    assert not background.running(one.home)
    with background.hold(one.home):
        assert background.running(one.home)
        with pytest.raises(Conflict, match="A node already runs in"):
            background.hold(one.home)
    assert not background.running(one.home)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(one.home)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert background.running(one.home)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert not background.running(one.home)


HOLDER = """
import sys, time
from commonhold.home import Home
from commonhold.node import background
with background.hold(Home.find(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_node_that_dies_at_its_start_says_so(one, monkeypatch):
    """No word over the pipe, whatever the reason: the log has it."""
    monkeypatch.setenv("PYTHONPATH", str(one.folder / "broken"))
    (one.folder / "broken" / "uvloop").mkdir(parents=True)
    (one.folder / "broken" / "uvloop" / "__init__.py").write_text("raise SystemExit(3)")
    began = time.monotonic()
    seen = one.cli("up", code=1)
    assert seen.err == f"commonhold: The node did not start.\nhint: its last words are in {one.home.log}\n"
    assert time.monotonic() - began < background.PATIENCE, "the end of the pipe says it, not the patience"
    assert not background.running(one.home)
