"""Towns: real nodes on this machine, whose links and processors are held to a rate; nothing is left of them.

Namespaces need root and iproute2; never in CI, where the machine's network is not ours to change.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from commonhold.errors import Refused
from commonhold.lab import leftovers, namespaces
from commonhold.lab.relays import Relayed
from commonhold.lab.town import Caps, Town, warnings
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.trials.trial import Arrangement
from commonhold.transport import LoopThread

from ..conftest import processes_of, until

IN_NAMESPACES = [
    pytest.mark.skipif(bool(os.environ.get("CI")), reason="CI leaves the machine's network alone"),
    pytest.mark.skipif(not namespaces.available(), reason="namespaces need root and iproute2"),
]
WAYS = ["loopback", pytest.param("namespaces", marks=IN_NAMESPACES)]
PEERS = Arrangement(Shape.PEER_TO_PEER)
RATE = 20.0  # Mbit/s
SIZE = 250_000  # bytes: a tenth of a second at that rate
ENOUGH = 0.8 * SIZE * 8 / (RATE * 1e6)  # seconds that it takes at least
FIRST = "from commonhold.lab.town import Arrangement, Caps, Town\n"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Towns of this test stand in a folder of its own."""
    made = tmp_path / "Städte hier"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


@contextmanager
def standing(computers: int, caps: Caps, arrangement: Arrangement = PEERS, **more: Any) -> Iterator[Town]:
    """A town, of which nothing is left."""
    with Town(computers, caps, arrangement, tell=str, **more) as town:
        folder = town.computers[0].folder.parent
        assert processes_of(folder)
        yield town
    assert not folder.exists()
    assert not processes_of(folder)
    assert nothing_named(folder.name.removeprefix(leftovers.PREFIX))


def nothing_named(token: str) -> bool:
    """No network, and no group of processors."""
    groups = leftovers.groups_here()
    above = groups.town(token) if groups else []
    return not any(token in path.name for path in Path("/run/netns").glob("*")) and not any(map(Path.exists, above))


@pytest.mark.parametrize("way", WAYS)
def test_in_a_peer_to_peer_town_each_shares_and_a_file_takes_as_long_as_the_link_says(way, tmp_path):
    letter = tmp_path / "lettre d'été.bin"
    letter.write_bytes(os.urandom(SIZE))
    with standing(3, Caps(RATE, 0), way=way) as town:
        assert town.way == way
        _, other, third = town.computers
        since = town.watch()
        began = time.monotonic()
        third.net.put(letter, f"{other.name}:{other.share}")
        stored = time.monotonic()
        assert b"".join(third.net.cat(f"{other.name}:files/{letter.name}")) == letter.read_bytes()
        assert time.monotonic() - stored > ENOUGH
        assert stored - began > ENOUGH
        served = {each.computer: each for each in since()}
        assert served[other.name].bytes > SIZE > served["pc00"].bytes
        assert 1 >= served[other.name].link > served["pc00"].link
        assert 1 >= served[other.name].processor > 0


def test_an_owners_task_is_timed_alone_and_then_while_others_are_served():
    with standing(1, Caps(0, 0), way="loopback", owners=True) as town:
        since = town.watch()
        (alone,) = until(lambda: [each for each in since() if each.owner], "the task was done")
        assert alone.owner.alone > 0
        assert alone.owner.p99 >= alone.owner.mean > 0


def test_in_a_client_server_town_only_the_server_shares_and_it_is_stronger():
    with standing(2, Caps(RATE, 0, strength=4), Arrangement(Shape.CLIENT_SERVER), way="loopback") as town:
        server, client = town.computers
        (server.files / "plan.bin").write_bytes(bytes(SIZE))
        began = time.monotonic()
        assert len(b"".join(client.net.cat("server:files/plan.bin"))) == SIZE
        assert time.monotonic() - began > ENOUGH / 4
        with pytest.raises(Refused):
            server.net.ls(f"{client.name}:files")


LAST = "os.sched_getscheduler(0) == os.SCHED_IDLE"


def computes(town: Town, once: str) -> bool:
    """A task at the other computer, which waits there until `once` holds: who shares also lends."""
    one, other = town.computers
    job = one.net.run(f"python3 -c 'import os, time\nwhile not ({once}): time.sleep(0.05)'", on=other.name)
    return bool((job.done, job.failed) == (1, 0))


def test_guests_come_last_and_people_are_processes_in_their_computer_that_end_with_it():
    with standing(2, Caps(0, 0), way="loopback", lend=True) as town:
        one, other = town.computers
        assert computes(town, LAST)
        typed = one.start(sys.executable, "-m", "commonhold", "mkdir", f"{other.name}:files/für alle")
        assert typed.wait(60) == 0
        assert (other.files / "für alle").is_dir()
        stays = one.start("sleep", "1000")
    assert not psutil.pid_exists(stays.pid)


def test_only_in_the_naive_town_do_guests_come_before_their_owner():
    with standing(2, Caps(0, 0), Arrangement(Shape.PEER_TO_PEER, naive=True), way="loopback", lend=True) as town:
        assert computes(town, f"not {LAST}")


@pytest.mark.parametrize("way", [pytest.param("namespaces", marks=IN_NAMESPACES)])
def test_a_computer_has_no_more_of_the_processor_than_its_cap(way):
    if leftovers.groups_here() is None:
        pytest.skip("no control groups")
    with standing(1, Caps(0, 0.2), way=way) as town:
        assert not town.warnings
        before = town.computers[0].reading()
        spin = "import time; t = time.monotonic()\nwhile time.process_time() < 0.2: pass\nprint(time.monotonic() - t)"
        assert float(town.computers[0].start(sys.executable, "-c", spin).communicate()[0]) > 0.8 * 0.2 / 0.2
        assert town.computers[0].reading().processor - before.processor > 0.2


def test_what_the_weaker_way_cannot_show_is_said():
    links, processors = warnings("loopback", Caps(20, 0.5), None)
    assert "root and iproute2" in links
    assert "0.5 cores" in processors
    assert not warnings("loopback", Caps(0, 0), None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could")
def test_a_town_ends_nobody_elses_process_whatever_it_speaks_of(folders):
    estate = leftovers.Estate()
    words = ["/bin/sh", "-c", "read line", "sh", str(estate.folder / "errors.txt")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, cwd="/", user=65534) as process:
        estate.clear()
        assert process.poll() is None
        process.communicate()
    assert not estate.folder.exists()


def test_a_relay_that_is_closed_ends_its_connections_without_a_word(caplog):
    with closing(LoopThread()) as loop, socket.socket() as door:
        place = Relayed(loop, 1, 0)
        host, _, port = place.address.rpartition(":")
        door.bind((host, int(port)))
        door.listen()
        host, _, port = place.found_at.rpartition(":")
        with socket.create_connection((host, int(port))) as asking:
            passed_on, _ = door.accept()
            with passed_on:
                asking.sendall(b"x")
                assert passed_on.recv(1) == b"x"
                place.close()
                assert asking.recv(1) == passed_on.recv(1) == b""
    assert not caplog.records


@pytest.mark.parametrize(
    ("ended", "way"),
    [
        (signal.SIGINT, "loopback"),
        (signal.SIGKILL, "loopback"),
        pytest.param(signal.SIGKILL, "namespaces", marks=IN_NAMESPACES),
    ],
)
def test_a_town_whose_process_is_ended_leaves_nothing(ended, way, folders):
    stands = f"with Town(1, Caps(20, 0), Arrangement('peer-to-peer'), tell=str, way='{way}'):\n print(1)\n input()"
    line = [sys.executable, "-uc", FIRST + stands]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(line, env=os.environ | {"TMPDIR": str(folders)}, **pipes) as process:
        assert process.stdout.readline() == b"1\n"
        (folder,) = folders.iterdir()
        assert not leftovers.abandoned()
        process.send_signal(ended)
        process.wait(60)
    if ended == signal.SIGKILL:
        assert leftovers.abandoned() == [folder]
        assert processes_of(folder)
        told: list[str] = []
        with Town(1, Caps(0, 0), PEERS, tell=told.append, way="loopback"):
            assert not processes_of(folder)
        assert str(folder) in told[0]
    assert not folder.exists()
    assert nothing_named(folder.name.removeprefix(leftovers.PREFIX))
