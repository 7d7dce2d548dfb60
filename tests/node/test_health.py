"""What can be wrong: each condition speaks when it is met, says its cure, and is silent when the trouble is over."""

from __future__ import annotations

import shlex
from datetime import timedelta

import pytest
from msgspec.structs import replace

from commonhold.answers import GuardWish
from commonhold.node.health import BEHIND, CONDITIONS, LITTLE, LONG, Findings, alarms, troubles

WELL = Findings(
    home="/home/ann/our things",
    computer="tower",
    network="casa",
    members=5,
    guards=("nas", "tower"),
    door=True,
    listening=("127.0.0.2:7440",),
    lends=True,
    sandbox="bubblewrap",
    record="/home/ann/our things/audit.jsonl",
)
WISH = GuardWish("guard add nas", False, ("laptop", "tower"), ("laptop",), ("tower",), 1, here=True)
MINE = replace(WISH, signed=("tower",), waiting_for=("laptop",), here=False)

CASES = (  # what is found, its code, its severity, what the text must say, what the cure must say
    ({"disputed": "Two different charters have the number 2."}, "two-charters", "alarm", "number 2", "recover"),
    ({"member": False}, "removed", "alarm", "removed from the network", "our things away"),
    ({"broken": "Line 7 is not what it was."}, "broken-record", "alarm", "Line 7", "audit.jsonl"),
    ({"witnessed": "The record of nas was changed."}, "record-rewritten", "alarm", "nas", "audit verify"),
    ({"damage": "state.sqlite is damaged."}, "damaged", "warning", "state.sqlite", "copy"),
    ({"running": False}, "node-down", "warning", "tower is not running", "commonhold up"),
    ({"not_free": "Port 7440 is in use."}, "address-not-free", "warning", "7440", "settings.json"),
    ({"listening": ()}, "no-door", "warning", "tower listens nowhere", "commonhold up"),
    ({"turned_away": "nas says: tower was removed."}, "turned-away", "warning", "nas says", "ask its owner"),
    ({"proposals": (WISH,)}, "wish-waits", "warning", "“guard add nas”, signed by laptop", "commonhold guard add nas"),
    ({"missing": (("photos", "/mnt/p"),)}, "share-missing", "warning", "The folder /mnt/p of", "unshare photos"),
    ({"closed": (("photos", "/mnt/p"),)}, "share-closed", "warning", "open the folder /mnt/p", "chmod u+rwx"),
    ({"free": LITTLE - 1}, "disk-full", "warning", "511 MB are free", "free some space"),
    ({"exposed": ("/h/key.pem", "/h")}, "home-open", "warning", "read /h/key.pem, /h.", "chmod -R go="),
    ({"certificate": "It ended yesterday."}, "certificate", "warning", "yesterday", "--certificate"),
    ({"behind": BEHIND}, "clock-back", "warning", "set back by 5 minutes", "our things/clock"),
    ({"alone": LONG}, "alone", "warning", "of casa has answered for 1 day.", "members"),
    ({"guards": ("tower",)}, "one-guard", "note", "tower is the only guard", "guard add COMPUTER, typed on tower"),
    ({"links": (("photos", "a/up"), ("docs", "b"))}, "links", "note", "share: photos/a/up, docs/b.", "share FOLDER"),
    ({"sandbox": "limits"}, "weak-sandbox", "note", "this account can read. bubblewrap is not", "install bubblewrap"),
    ({"upgraded": "Commonhold was upgraded on tower."}, "upgraded", "warning", "Nothing is computed", "commonhold up"),
    ({"precedence": "share"}, "beside", "note", "half of a core that you want", "systemd-run --user --scope"),
)  # fmt: skip


def test_each_wish_that_waits_has_its_cure():
    (trouble,) = troubles(replace(WELL, proposals=(WISH, replace(WISH, wish="guard remove nas"))))
    assert trouble.text.startswith("Wishes wait for this guard's signature: “guard add nas”, signed by laptop; “guard")
    assert trouble.cure == "if you agree: commonhold guard add nas or commonhold guard remove nas"


def test_a_computer_that_is_well_hears_nothing():
    assert troubles(WELL) == []
    assert alarms(WELL) == ""


@pytest.mark.parametrize(("found", "code", "severity", "text", "cure"), CASES, ids=[case[1] for case in CASES])
def test_each_trouble_is_named_with_its_cure_and_ends_with_its_cause(found, code, severity, text, cure):
    (trouble,) = troubles(replace(WELL, **found))
    assert (trouble.code, trouble.severity) == (code, severity)
    assert text in trouble.text
    assert trouble.text.endswith(".")
    assert cure in trouble.cure
    assert alarms(replace(WELL, **found)) == (trouble.text if severity == "alarm" else "")


def test_every_condition_is_in_the_cases():
    """So that a new one cannot be forgotten here."""
    assert len({case[1] for case in CASES}) == len(CASES) == len(CONDITIONS)


@pytest.mark.parametrize(
    "found",
    [
        {"behind": BEHIND - timedelta(seconds=1)},
        {"alone": LONG - timedelta(seconds=1)},
        {"alone": LONG, "members": 1},  # nobody is there to answer
        {"free": LITTLE},
        {"guards": ("tower",), "members": 2},  # a second guard of two would need both
        {"guards": ("tower",), "client_server": True},  # the server is the one guard by design
        {"proposals": (MINE,)},  # this guard has signed: others are to act
        {"listening": (), "door": False},  # a client of a server opens none
        {"sandbox": "limits", "lends": False},
        {"sandbox": ""},  # not known yet
    ],
)
def test_what_is_no_trouble_here_is_not_told(found):
    assert troubles(replace(WELL, **found)) == []


def test_a_node_that_is_down_is_not_told_that_it_has_no_door_as_well():
    assert [each.code for each in troubles(replace(WELL, running=False, listening=()))] == ["node-down"]


def test_the_gravest_comes_first_and_alarms_stand_in_one_line():
    everything = {}
    for found, *_ in CASES:
        everything |= found
    found = troubles(replace(WELL, **(everything | {"running": True})))
    severities = [each.severity for each in found]
    assert severities == sorted(severities, key=["alarm", "warning", "note"].index)
    assert severities.count("alarm") == 4
    line = alarms(replace(WELL, **everything))
    assert "number 2" in line
    assert "Line 7" in line
    assert "7440" not in line
    assert "\n" not in line


def test_commands_of_cures_can_be_pasted():
    """Names of shares and of the home may have spaces, and what a shell would make a command of."""
    name = "my $(rm -rf ~) photos"
    (missing,) = troubles(replace(WELL, missing=((name, "/mnt/p"),)))
    assert shlex.split(missing.cure.partition("or ")[2]) == ["commonhold", "unshare", name]
    (exposed,) = troubles(replace(WELL, exposed=("/h",)))
    assert shlex.split(exposed.cure) == ["chmod", "-R", "go=", WELL.home]
    (behind,) = troubles(replace(WELL, behind=BEHIND))
    assert f"{WELL.home}/clock," in shlex.split(behind.cure)


def test_days_alone_are_counted():
    (trouble,) = troubles(replace(WELL, alone=timedelta(days=3, hours=5)))
    assert "for 3 days." in trouble.text
