"""What a computer finds at itself, running or not: each trouble is made, seen, put right, and not seen any more."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time

import pytest

from commonhold.errors import NotFound
from commonhold.home import Home
from commonhold.identity.keys import Key
from commonhold.node.checkup import asleep

from ..conftest import town, until


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """tower guards and is down; laptop was removed while it was up, and is."""
    with town(tmp_path_factory.mktemp("check up")) as make:
        tower, laptop = make("tower", "ann"), make("laptop", "bob")
        tower.create("casa")
        laptop.join(tower)
        (tower.folder / "photos").mkdir()
        tower.net.share(tower.folder / "photos")
        until(lambda: all(each.addresses for each in tower.net.members()), "tower knows where laptop is")
        tower.net.remove("laptop")
        until(lambda: laptop.net.status().alarm, "laptop has heard of its removal")
        tower.down()
        yield tower, laptop


@pytest.fixture
def tower(network):
    return network[0]


def found(home):
    return {each.code: each for each in asleep(home)}


def test_a_node_that_was_put_to_sleep_has_no_other_trouble(tower):
    assert found(tower.home).keys() == {"node-down"}


def test_without_a_network_there_is_nothing_to_check(tmp_path):
    with pytest.raises(NotFound):
        asleep(Home(tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()


def test_an_address_that_another_program_took(tower):
    host, _, port = tower.address.rpartition(":")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((host, int(port)))
        other.listen()
        trouble = found(tower.home)["address-not-free"]
        assert trouble.text == f"{tower.address} is in use by another program."
        assert str(tower.home) in trouble.cure
    assert "address-not-free" not in found(tower.home)


def test_the_key_of_another_computer(tower):
    own = tower.home.key.read_bytes()
    tower.home.key.unlink()
    Key.generate().save(tower.home.key)
    trouble = found(tower.home)["damaged"]
    assert trouble.text == f"{tower.home.key} is not the key that joined."
    tower.home.key.write_bytes(own)
    assert "damaged" not in found(tower.home)


def test_a_key_that_is_none_and_one_that_is_not_there(tower):
    own = tower.home.key.read_bytes()
    tower.home.key.write_bytes(b"no key\n")
    assert str(tower.home.key) in found(tower.home)["damaged"].text
    tower.home.key.unlink()
    assert "damaged" in found(tower.home)
    tower.home.key.write_bytes(own)
    tower.home.key.chmod(0o600)
    assert found(tower.home).keys() == {"node-down"}


def test_a_clock_that_was_set_back(tower):
    newest = time.time() + 3600
    before = tower.home.clock.stat().st_mtime
    os.utime(tower.home.clock, (newest, newest))
    assert "set back by 59 minutes" in found(tower.home)["clock-back"].text
    tower.home.clock.unlink()  # the cure
    assert "clock-back" not in found(tower.home)
    tower.home.clock.touch(mode=0o600)
    os.utime(tower.home.clock, (before, before))


def test_a_key_that_others_may_read(tower):
    tower.home.key.chmod(0o640)
    trouble = found(tower.home)["home-open"]
    assert str(tower.home.key) in trouble.text
    tower.home.key.chmod(0o600)
    assert "home-open" not in found(tower.home)


def test_a_shared_folder_that_the_node_may_not_open(tower):
    folder = tower.folder / "photos"
    folder.chmod(0)
    # Whoever runs these tests may be root, whom the kernel asks nothing: without these two it does.
    bare = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    words = [*bare, sys.executable, "-m", "commonhold", "--home", tower.home.folder, "doctor"]
    seen = subprocess.run(words, capture_output=True, text=True, check=False)
    folder.chmod(0o755)
    assert f"may not open the folder {folder} of the share photos" in seen.stdout
    assert f"chmod u+rwx {shlex.quote(str(folder))}" in seen.stdout
    assert "share-closed" not in found(tower.home)


def test_a_shared_folder_whose_disk_is_away(tower):
    folder = tower.folder / "photos"
    folder.rename(tower.folder / "elsewhere")
    assert "unshare photos" in found(tower.home)["share-missing"].cure
    (tower.folder / "elsewhere").rename(folder)
    assert "share-missing" not in found(tower.home)


def test_links_in_a_share_and_in_its_folders(tower):
    inner = tower.folder / "photos" / "2026" / "05"
    inner.mkdir(parents=True)
    laid = [tower.folder / "photos" / "out", inner / "up"]
    for each in laid:
        each.symlink_to("/")
    assert "share: photos/out, photos/2026/05/up." in found(tower.home)["links"].text
    for each in laid:
        each.unlink()
    assert "links" not in found(tower.home)


def test_a_line_of_the_record_that_was_changed(tower):
    record = tower.home.audit.read_bytes()
    tower.home.audit.write_bytes(record.replace(b"founding", b"pounding", 1))
    trouble = found(tower.home)["broken-record"]
    assert trouble.severity == "alarm"
    assert "Line 2 of the record" in trouble.text
    tower.home.audit.write_bytes(record)
    assert "broken-record" not in found(tower.home)


def test_looking_changes_no_record_and_a_node_goes_on_from_it(tower):
    """The record, the clock and the state are those of the node, which may start at the same moment."""
    before = {path.name: path.read_bytes() for path in tower.home.folder.iterdir() if path.name.startswith("audit")}
    asleep(tower.home)
    after = {path.name: path.read_bytes() for path in tower.home.folder.iterdir() if path.name.startswith("audit")}
    assert before == after
    tower.up()
    assert {each.code for each in tower.net.doctor()} <= {"weak-sandbox"}
    tower.home.folder.chmod(0o755)
    assert str(tower.home) in {each.code: each for each in tower.net.doctor()}["home-open"].text
    tower.down()
    assert found(tower.home).keys() == {"node-down"}, "who holds the home closes it"
    assert tower.home.folder.stat().st_mode & 0o777 == 0o700


def test_a_computer_that_was_removed_says_so_awake_and_asleep(network):
    laptop = network[1]
    awake = {each.code: each for each in laptop.net.doctor()}
    assert awake["removed"].severity == "alarm"
    assert str(laptop.home) in awake["removed"].cure
    laptop.down()
    assert {"removed", "node-down"} <= found(laptop.home).keys()
    assert laptop.typed("doctor", code=1).out.startswith("alarm: This computer was removed from the network.\n")
