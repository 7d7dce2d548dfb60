"""How a home begins: found or join, and nothing half when that fails."""

from __future__ import annotations

import json

import pytest

from commonhold.errors import Conflict, NotFound, Refused, Unreachable, WrongCode, WrongUsage
from commonhold.home import Home
from commonhold.identity.code import recovery_key
from commonhold.identity.keys import Key
from commonhold.node import founding

from ..conftest import free_address, town


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    with town(tmp_path_factory.mktemp("founding")) as make:
        made = make("tower", "ann")
        made.create("casa")
        yield made


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def events(home):
    return [json.loads(line)["event"] for line in home.audit.read_text().splitlines()]


def test_a_founded_home_has_everything_and_says_the_recovery_key_once(home):
    begun = founding.create(home, "casa", person="ann", computer="tower", listen=["127.0.0.2:0"])
    assert (begun.network, begun.shape, begun.computer, begun.person, begun.role) == (
        "casa", "peer-to-peer", "tower", "ann", "peer",
    )  # fmt: skip
    assert recovery_key(begun.recovery).fingerprint != Key.load(home.key).fingerprint
    assert home.settings().network == begun.network_id
    assert events(home) == ["founding"]
    assert begun.recovery not in "".join(path.read_bytes().decode("latin-1") for path in home.folder.iterdir())


def test_without_names_the_machine_and_its_user_are_asked(home):
    begun = founding.create(home, "casa")
    assert begun.computer
    assert begun.person


@pytest.mark.parametrize(
    "wish",
    [
        {"network": ""},
        {"network": "a/b"},
        {"shape": "ring"},
        {"person": "members"},
        {"computer": "any"},
        {"listen": ["nonsense"]},
        {"listen": ["203.0.113.9:7440"]},
    ],
)
def test_a_wish_that_makes_no_sense_leaves_no_network(home, wish):
    with pytest.raises(WrongUsage):
        founding.create(home, **({"network": "casa"} | wish))
    assert not home.joined
    assert not home.state.exists()


def test_joining_leaves_a_home_that_knows_the_network(tower, home):
    code = tower.net.invite().code
    address = free_address("127.0.0.2")
    begun = founding.join(home, f"{code.upper()}@{tower.address}", "bob", "laptop", [address], lend="never")
    assert (begun.network, begun.role, begun.inviter) == ("casa", "peer", "tower")
    assert home.settings().listen == (address,)
    assert home.settings().lend.when == "never"
    assert events(home) == ["joined"]
    with pytest.raises(Conflict, match="belongs to a network already, as laptop"):
        founding.join(home, f"{code}@{tower.address}")
    with pytest.raises(Conflict):
        founding.create(home, "other")
    tower.net.remove("bob")


def test_a_failed_beginning_leaves_the_key_and_nothing_else(tower, home):
    """So that the same key can finish what a lost answer left open."""
    number, first, second = tower.net.invite().code.split("-")
    wrong = f"{number}-{'able' if first != 'able' else 'zoo'}-{second}@{tower.address}"
    with pytest.raises(WrongCode):
        founding.join(home, wrong, "bob", "laptop")
    key = Key.load(home.key).fingerprint
    with pytest.raises(Unreachable):
        founding.join(home, f"7-zoo-zoo@{free_address('127.0.0.2')}", "bob", "laptop")
    assert {path.name for path in home.folder.iterdir()} == {"key.pem", "certificate.der", "node.lock"}
    founding.join(home, f"{number}-{first}-{second}@{tower.address}", "bob", "laptop")
    assert Key.load(home.key).fingerprint == key
    assert key in {m.fingerprint for m in tower.net.members()}
    tower.net.remove("bob")


def test_a_removed_key_does_not_come_back_with_a_new_code(tower, home):
    founding.join(home, f"{tower.net.invite().code}@{tower.address}", "gus", "guest")
    tower.net.remove("guest")
    for path in (home.settings_file, home.state):
        path.unlink()
    with pytest.raises((Refused, Conflict)):
        founding.join(home, f"{tower.net.invite().code}@{tower.address}", "gus2", "guest2")
    assert not home.joined


@pytest.mark.parametrize("lend", ["sometimes", "Idle", ""])
def test_when_to_lend_is_one_of_three_words(home, lend):
    with pytest.raises(WrongUsage):
        founding.join(home, "7-zoo-zoo@127.0.0.2:1", lend=lend)


def test_nobody_on_the_network_with_that_number_is_not_found(home):
    with pytest.raises(NotFound, match="open invitation number 98") as missing:
        founding.join(home, "98-zoo-zoo")
    assert "CODE@HOST:PORT" in missing.value.hint
