"""What goes wrong at a person's hands: each with its sentence, its hint and its exit code."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from commonhold.errors import Conflict, NodeNotRunning, NoSpace, WrongCode
from commonhold.home import Home
from commonhold.lab.kept import TrialFile
from commonhold.node import background, founding

from ..conftest import free_address, processes_of, town, until
from ..plan.made import made

SECONDS = 8  # the promise is 5 s; a busy machine starts the command's process late


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    with town(tmp_path_factory.mktemp("casa")) as make:
        made = make("tower", "ann")
        made.create("casa")
        yield made


@pytest.fixture
def newcomer(computer):
    return computer("newcomer", "nora")


def asked(newcomer, code, tower, *words, exit_):
    where = f"{code}@{tower.address}"
    return newcomer.typed("join", where, "--computer", "newcomer", "--person", "nora", *words, code=exit_)


def wrong(code):
    number, *words = code.split("-")
    return f"{number}-{'zoo' if words[0] != 'zoo' else 'able'}-{words[1]}"


def test_wrong_codes_count_down_and_then_the_right_one_is_over_too(tower, newcomer):
    code = tower.net.invite().code
    for left in ("2 tries are left", "1 try is left"):
        seen = asked(newcomer, wrong(code), tower, exit_=4)
        assert f"commonhold: The code is wrong; {left}.\n" in seen.err
        assert seen.hint == "compare it with what the other computer shows"
    assert "The code is wrong, and no try is left." in asked(newcomer, wrong(code), tower, exit_=4).err
    over = asked(newcomer, code, tower, exit_=4)
    assert over.err == (
        "commonhold: No invitation is open for this code: it is spent or over.\nhint: ask for a new code\n"
    )
    assert {m.computer for m in tower.net.members()} == {"tower"}
    assert newcomer.typed("status", code=3).hint == "commonhold create NETWORK, or commonhold join CODE"


def test_a_spent_code_and_an_expired_one_admit_nobody(tower, newcomer, computer):
    code = tower.net.invite().code
    first = computer("first", "fred")
    founding.join(first.home, f"{code}@{tower.address}", "fred", "first", [first.address])
    assert "it is spent or over" in asked(newcomer, code, tower, exit_=4).err
    short = tower.net.invite(minutes=0.1)
    until(lambda: short.number not in {each.number for each in tower.net.status().invitations}, "the code is over")
    with pytest.raises(WrongCode, match="it is spent or over"):
        founding.join(newcomer.home, f"{short.code}@{tower.address}", "nora", "newcomer")
    tower.net.remove("first")


def test_names_that_are_taken_cost_no_code(tower, newcomer):
    code = tower.net.invite().code
    where = f"{code}@{tower.address}"
    taken = newcomer.typed("join", where, "--computer", "Tower", "--person", "nora", code=6)
    assert "tower" in taken.err.casefold()
    assert taken.hint
    assert newcomer.typed("join", where, "--computer", "newcomer", "--person", "ANN", code=6).hint
    joined = newcomer.json("join", where, "--computer", "newcomer", "--person", "nora", "--listen", newcomer.address)
    assert joined["computer"] == "newcomer"
    tower.net.remove("nora")


@pytest.mark.parametrize("typed", ["hello", "7-notaword-zoo", "7-zoo", "0-zoo-zoo", "123-zoo-zoo"])
def test_what_is_no_code_is_wrong_usage(newcomer, typed):
    assert "code" in newcomer.typed("join", f"{typed}@127.0.0.2:1", code=2).err


def test_nobody_at_the_address_is_unreachable(newcomer):
    began = time.monotonic()
    seen = newcomer.typed("join", f"7-zoo-zoo@{free_address('127.0.0.2')}", code=5)
    assert time.monotonic() - began < SECONDS
    assert seen.hint
    assert newcomer.typed("join", "7-zoo-zoo@nowhere", code=2).hint.startswith("write HOST:PORT")


def test_a_computer_that_is_off_is_named_with_when_it_was_last_seen(tower, computer):
    other = computer("other", "otto")
    other.join(tower)
    until(lambda: next(m for m in tower.net.members() if m.computer == "other").seen, "they have met")
    other.typed("down")
    began = time.monotonic()
    seen = tower.typed("ls", "other:", code=5)
    assert time.monotonic() - began < SECONDS
    assert f"other does not answer at {other.address}; it was last seen " in seen.err
    assert seen.hint == "see that it is switched on and connected"
    assert tower.json("ls", "other:", code=5)["kind"] == "Unreachable"
    # One that is switched on and says nothing, as a stopped machine does behind a firewall.
    tower.net.remove("other")


def test_without_a_node_every_command_says_how_to_start_it(tower, computer):
    down = computer("sleepy", "sue")
    founding.create(down.home, "alone", person="sue", computer="sleepy", listen=[down.address])
    for words in (("ls",), ("members",), ("invite",), ("run", "true"), ("rules",), ("get", "a:b"), ("down",)):
        seen = down.typed(*words, code=5)
        assert seen.err == "commonhold: The node of this computer is not running.\nhint: commonhold up\n"
    with pytest.raises(NodeNotRunning):
        down.attach()
    assert down.json("status")["running"] is False


def test_a_port_that_is_named_and_in_use_is_a_conflict_before_anything_is_done(tower, newcomer):
    listen = ("--listen", tower.address)
    founding_ = newcomer.typed("create", "other", "--computer", "x", *listen, code=6)
    assert founding_.err == (
        f"commonhold: {tower.address} is in use by another program.\nhint: name another with --listen HOST:PORT\n"
    )
    code = tower.net.invite().code
    assert "is in use" in asked(newcomer, code, tower, *listen, exit_=6).err
    assert "no address of this computer" in asked(newcomer, code, tower, "--listen", "192.0.2.1:7440", exit_=2).err
    assert not newcomer.home.joined
    asked(newcomer, code, tower, "--listen", newcomer.address, exit_=0)  # the code was not spent
    tower.net.remove("nora")


def test_a_port_taken_while_the_node_was_down_is_told_with_the_file_that_names_it(tower, computer):
    late = computer("late", "lea")
    founding.create(late.home, "alone", person="lea", computer="late", listen=[late.address])
    late.home.save_settings(type(late.home.settings())(late.home.settings().network, "late", (tower.address,)))
    seen = late.typed("up", code=6)
    assert seen.err.startswith(f"commonhold: {tower.address} is in use by another program.\n")
    assert str(late.home.settings_file) in seen.hint
    assert not background.running(late.home)


def test_without_a_named_address_the_next_free_port_is_taken(computer):
    homes = [computer(name, "ann") for name in ("one", "two")]
    for one in homes:
        founding.create(one.home, one.name, person="ann", computer=one.name)
        one.up()
    ports = [{address.rpartition(":")[2] for address in one.net.status().listener} for one in homes]
    assert len(ports[0]) == len(ports[1]) == 1
    assert ports[0] != ports[1]
    assert all(int(port) >= 7440 for found in ports for port in found)


def test_a_second_network_in_one_home_is_a_conflict(tower):
    for words in (("create", "other"), ("join", "7-zoo-zoo@127.0.0.2:1")):
        seen = tower.typed(*words, code=6)
        assert "This computer belongs to a network already, as tower." in seen.err
        assert "--home" in seen.hint
    assert tower.net.status().network == "casa"


def test_a_home_that_another_process_holds_is_a_conflict(tower, newcomer):
    with background.hold(newcomer.home):
        assert f"A node already runs in {newcomer.home}." in newcomer.typed("create", "x", code=6).err
    seen = tower.cli("up", "--foreground", code=6)
    assert f"A node already runs in {tower.home}." in seen.err
    assert tower.net.status().running  # and it was left alone
    assert tower.typed("up").out == "The node of tower already runs.\n"


def test_two_that_start_at_once_make_one_node(computer):
    twin = computer("twin", "tim")
    founding.create(twin.home, "twins", person="tim", computer="twin", listen=[twin.address])
    with ThreadPoolExecutor(2) as threads:
        begun = [threads.submit(subprocess.run, twin.words("up"), capture_output=True, check=False) for _ in range(2)]
        codes = sorted(each.result().returncode for each in begun)
    assert codes[0] == 0
    assert set(codes) <= {0, 6}
    nodes = [p for p in processes_of(twin.folder) if "--foreground" in p.cmdline()]
    assert len(nodes) == 1
    twin.attach()
    assert twin.pid == nodes[0].pid


@pytest.fixture
def broken(computer):
    """A home that has joined, whose node is down and whose files a test damages."""
    made = computer("broken", "bea")
    founding.create(made.home, "old", person="bea", computer="broken", listen=[made.address])
    return made


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("settings.json", b"{"),
        ("settings.json", b"\xff\xfe"),
        ("settings.json", b'{"network": 7}'),
        ("settings.json", b""),
        ("state.db", b"SQLite format 3\0" + b"\x55" * 5000),
        ("state.db", b"no database at all" * 100),
        ("key.pem", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        ("key.pem", b""),
    ],
)
def test_a_damaged_file_is_told_in_one_sentence_and_left_as_it_is(broken, file, content):
    path = broken.home.folder / file
    path.write_bytes(content)
    seen = broken.typed("up", code=1)
    assert seen.err.startswith("commonhold: ")
    assert str(path) in seen.err.splitlines()[0]
    assert len(seen.err.splitlines()) == 2, "one sentence, one hint"
    assert seen.hint
    assert path.read_bytes() == content
    assert not background.running(broken.home)


def test_another_homes_key_is_noticed(broken, tower):
    shutil.copy(tower.home.key, broken.home.key)
    seen = broken.typed("up", code=1)
    assert f"The key in {broken.home.key} is not the one that joined old." in seen.err


def test_a_lost_certificate_is_written_anew(broken):
    before = broken.home.certificate.read_bytes()
    broken.home.certificate.write_bytes(b"nonsense")
    broken.up()
    assert broken.home.certificate.read_bytes() == before
    broken.home.certificate.write_bytes(b"nonsense")
    assert broken.typed("members", code=1).err.startswith(f"commonhold: {broken.home.certificate} is damaged.\n")


def test_a_home_that_is_a_file_is_a_conflict(tmp_path, newcomer):
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        (tmp_path / "file").write_text("mine")
        newcomer.home = Home(folder)
        for words in (("create", "x"), ("join", "7-zoo-zoo@127.0.0.2:1"), ("status",), ("ls",), ("up",), ("down",)):
            assert f"{folder} is not a folder." in newcomer.typed(*words, code=6).err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_home_of_any_name_and_length_works(tmp_path):
    """Longer than the address of a Unix socket (108 bytes), too: nothing of the node's may hang on that."""
    name = "Mein Gerät, été" + ("/" + "sehr lang " * 12 + "x") * 3
    with town(tmp_path) as make:
        one = make("one", "ann", home=name)
        assert len(str(one.home)) > 400
        one.typed("create", "casa", "--computer", "one", "--person", "ann", "--listen", one.address)
        one.attach()
        (one.folder / "a b").mkdir()
        (one.folder / "a b" / "c.txt").write_text("there\n")
        one.net.share(one.folder / "a b")
        assert one.typed("cat", "one:a b/c.txt").out == "there\n"
        job = one.net.run("cat {}", ["one:a b/*.txt"])
        assert [task.output for task in one.net.log(job.job)] == ["there\n"]
        one.typed("down")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("this user may mount no small disk here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder):
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def test_a_comparison_that_has_no_room_says_where_and_keeps_what_it_had(small_disk):
    kept = TrialFile(small_disk / "comparison.json")
    trial = made((1, 12), requests=40, repeats=2)
    kept.save(trial)
    fill(small_disk)
    with pytest.raises(NoSpace, match=r"comparison\.json cannot be written: No space left on device"):
        kept.save(msgspec.structs.replace(trial, points=trial.points * 100))
    assert [each.name for each in small_disk.iterdir() if each.name != "filler"] == ["comparison.json"]
    assert kept.begun(trial.circumstances) == trial


def test_a_full_disk_is_told_and_no_half_network_stays(small_disk, newcomer, tower):
    newcomer.home = Home(small_disk / "home")
    fill(small_disk)
    seen = newcomer.typed("create", "x", "--listen", newcomer.address, code=7)
    assert "is full" in seen.err
    assert not newcomer.home.joined
    code = tower.net.invite().code
    asked(newcomer, code, tower, "--listen", newcomer.address, exit_=7)
    (small_disk / "filler").unlink()
    newcomer.typed("create", "x", "--computer", "newcomer", "--listen", newcomer.address)
    newcomer.attach()
    (small_disk / "box").mkdir()
    newcomer.net.share(small_disk / "box", to="members", verb="write")
    fill(small_disk)
    seen = newcomer.typed(*("share", newcomer.folder, "--name", "x" * 60), code=7)
    assert "is full" in seen.err
    (newcomer.folder / "big").write_bytes(os.urandom(300_000))
    assert newcomer.typed("put", newcomer.folder / "big", "newcomer:box", code=7).hint
    assert [entry.path for entry in newcomer.net.ls("newcomer:box")] == []  # and the node goes on
    newcomer.typed("down")


def test_wrong_names_are_refused_before_anything_is_made(computer):
    one = computer("one")
    for words in (("--computer", "a/b"), ("--person", "members"), ("--listen", "here"), ("--shape", "star")):
        assert one.typed("create", "x", *words, code=2).hint
    assert one.typed("create", "", code=2).hint
    with pytest.raises(Conflict), background.hold(one.home), background.hold(one.home):
        pass
    assert not one.home.joined
