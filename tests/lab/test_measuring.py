"""`commonhold measure`: of a network of two on loopback, with bounds as small as they come; and what refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from datetime import date

import pytest

from commonhold.errors import CommonholdError, Damaged
from commonhold.lab import others, probes
from commonhold.node.computer import ended_alike
from commonhold.plan.values import measured
from commonhold.plan.values.scenario import Provenance, parse

from ..conftest import processes_of, town, until

RATES = {"disk_rate", "sync", "read", "read_byte", "write", "write_byte", "listing"}
QUICK = ("--seconds", "0.1")


@pytest.fixture(scope="module")
def casa(tmp_path_factory):
    """tower of ann; nas of bob, who shares with her and lends."""
    folder = tmp_path_factory.mktemp("casa")
    with town(folder) as make:
        tower, nas = make("tower", "ann"), make("nas", "bob")
        tower.create("casa")
        nas.join(tower)
        tower.knows("tower", "nas")
        (folder / "photos").mkdir()
        (folder / "photos" / "Été, am See.jpg").write_bytes(os.urandom(700_000))
        nas.net.share(folder / "photos", to="ann", verb="write")
        nas.net.allow("ann", "run", "compute")
        tower.net.ls("nas:photos")
        yield tower, nas


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Where temporary folders are made."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def required_unless_busy(answer, always, guests):
    """What guests show may be missing where other tests have all processors: guests come last, and it says so."""
    found = {each["name"] for each in answer["values"]}
    assert always <= found <= always | guests
    busy = [note for note in answer["notes"] if "free for guests within" in note]
    assert found == always | guests or busy
    known = {note.partition(":")[0] for note in answer["notes"] if note not in busy}
    assert known <= {
        "the others",
        "how long people think",
        "which part of all requests goes to the busiest computer (hot)",
    }


def test_the_others_are_measured_by_a_commands_text_and_nothing_is_left_there(casa):
    tower, nas = casa
    answer = tower.json("measure", "--only", "others", "--yes", *QUICK)
    required_unless_busy(answer, {"link"}, {"strength"})
    (reached,) = answer["computers"]
    assert reached["computer"] == "nas"
    assert min(reached[word] for word in ("round_trip", "sending", "receiving")) > 0
    assert reached["troubles"] or reached["speed"] > 0
    assert nas.net.history("nas:photos") == []
    assert [entry.path for entry in nas.net.ls("nas:photos")] == ["Été, am See.jpg"]
    assert tower.net.scenario().value("link").origin is Provenance.MEASURED
    (job,) = tower.net.jobs()
    assert job.command == "python -I -m commonhold.lab.probes 0.1", "which opens no pickle"


@pytest.mark.parametrize("said", ["", "[]", "[NaN]", "[1e999]", "[0.1, -1]", '["0.1"]', "{}", "[" * 100_000, "\x1b[2J"])
def test_a_computer_that_lies_about_what_it_computed_is_not_believed(said):
    with pytest.raises(CommonholdError, match="did not answer"):
        others.told(said)
    assert others.told("[0.1, 0.2]") == [0.1, 0.2]


def test_a_computer_that_lets_one_wait_is_given_up():
    with pytest.raises(CommonholdError, match="not done within 0 s"):
        others.within(0.1, threading.Event().wait)
    with pytest.raises(ZeroDivisionError):
        others.within(60, lambda: 1 / 0)


def test_words_of_another_computer_spoil_no_file_of_measurements():
    said = "nas, sending: \x1b[2J\x00\u202e\n[fleet]"
    assert parse(measured.written({}, [said])).value("link").origin is Provenance.ASSUMED


def test_broken_off_it_leaves_nothing_and_keeps_what_it_has(casa, elsewhere):
    _, nas = casa
    assert nas.net.measured() == {}
    process = subprocess.Popen(
        nas.words("measure", "--seconds", "0.1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: any(elsewhere.glob("commonhold-lab-*/asking/home/gateway.json")), "both nodes serve")
    process.send_signal(signal.SIGHUP)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith("commonhold: Interrupted.\n")
    assert list(elsewhere.iterdir()) == []
    until(lambda: not processes_of(elsewhere), "no process of it lives")
    assert {"cores", "disk_rate", "sync"} <= set(nas.net.measured())


def test_ctrl_c_a_kill_and_a_closed_terminal_end_it_alike_unless_they_are_not_to():
    endings = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        usual = [signal.getsignal(each) for each in endings]
        for ending in endings:
            with pytest.raises(KeyboardInterrupt), ended_alike():
                signal.raise_signal(ending)
            assert [signal.getsignal(each) for each in endings] == usual, ending
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with ended_alike():
            signal.raise_signal(signal.SIGHUP)  # as nohup has it: it goes on
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_file_of_measurements_that_is_damaged_is_named(casa):
    _, nas = casa
    nas.home.measured.unlink(missing_ok=True)
    assert nas.net.measured() == {}
    nas.home.measured.write_text("[rates]\nsync = -1\n")
    with pytest.raises(Damaged, match=r"measured\.toml is damaged: \[rates\] sync = -1 is out of bounds"):
        nas.net.scenario()
    nas.home.measured.write_text('[rates.sync]\nvalue = 0.01\norigin = "measured"\ndate = 2020-01-01\n')
    assert nas.net.measured()["sync"].day == date(2020, 1, 1)
    (warning,) = nas.net.advise().warnings
    assert warning.startswith("sync: measured more than 183 days ago")


def test_where_nothing_can_be_kept_nothing_is_measured(casa, tmp_path):
    tower, _ = casa
    (tmp_path / "mine.toml").write_text("mine\n")
    for file, code, told in (("mine.toml", 6, "is there already"), ("no/such.toml", 3, "there is no folder for it")):
        seen = tower.typed("measure", *QUICK, "--save", tmp_path / file, code=code)
        assert told in seen.err
        assert "the processor" not in seen.err
    assert (tmp_path / "mine.toml").read_text() == "mine\n"


def test_a_network_of_another_size_has_not_this_ones_people(casa):
    tower, _ = casa
    assert tower.net.scenario().value("people").number == 2
    assert tower.net.scenario(numbers={"computers": 12}).value("people").number == 12
    for flags, people in (([], 2), (["--computers", "12"], 12), (["--computers", "12", "--people", "3"], 3)):
        assert f"{people} people" in tower.typed("advise", *flags).out.splitlines()[0]


def test_a_network_that_could_not_be_asked_is_no_network_of_five_without_a_word(casa):
    tower, _ = casa
    tower.typed("down")
    try:
        assert "its node is not running" in tower.typed("advise").err
    finally:
        tower.up()
        tower.attach()


@pytest.mark.timeout(300)  # guests come last: on a machine that is busy with other tests they wait
def test_this_computer_is_measured_and_advice_rests_on_what_was_found(casa, elsewhere, tmp_path):
    tower, nas = casa
    tower.home.measured.unlink(missing_ok=True)  # as if nothing had been measured yet
    recorded = nas.home.audit.read_bytes()
    words = tower.words("measure", *QUICK, "--save", tmp_path / "heute é.toml", json_=True)
    answer = json.loads(subprocess.run(words, capture_output=True, timeout=280, check=True).stdout)
    required_unless_busy(answer, RATES | {"cores", "serving"}, {"start", "lending"})
    assert all(each["low"] <= each["value"] <= each["high"] for each in answer["values"])
    assert "the others: nobody said yes" in " ".join(answer["notes"])
    assert nas.home.audit.read_bytes() == recorded, "nobody agreed to load it"
    assert list(elsewhere.iterdir()) == []
    assert not list(tower.home.folder.glob(f"{probes.PREFIX}*"))
    until(lambda: not processes_of(elsewhere), "no process of it lives")

    known = tower.net.measured()
    assert known == {name: each for name, each in parse((tmp_path / "heute é.toml").read_text()) if name in known}
    assert tower.net.scenario(numbers={"sync": 0.5})["sync"] == 0.5, "what is told beats what was measured"
    assert not [each for each in tower.net.advise().assumptions if "(sync)" in each or "(read_byte)" in each]
    tower.down()
    assert "(read_byte)" not in tower.typed("advise").out, "the file is read with the node down as well"
    tower.up()


def test_who_refuses_or_sleeps_is_named_and_no_error(casa):
    tower, nas = casa
    nas.net.unshare("photos")
    nas.net.lend(when="never")
    answer = tower.json("measure", "--only", "others", "--yes", *QUICK)
    (reached,) = answer["computers"]
    assert reached["round_trip"] > 0
    assert [each.partition(":")[0] for each in reached["troubles"]] == ["sending", "receiving", "computing"]
    nas.down()
    seen = tower.typed("measure", "--only", "others", "--yes", *QUICK)
    assert "nas: not reached" in seen.out
    assert "not measured: nas, distance: " in seen.out
    assert seen.out.endswith("Nothing was found that advice could rest on.\n")
    assert "nobody is here" in tower.typed("measure", "--only", "others", code=2).err
