"""`guard`, `recover`, `remove`, `doctor`, `person`, `invite --file`: what is asked, what is said, what is answered."""

from __future__ import annotations

import json

import pytest

from ..conftest import town, until

WRONG = (
    ("guard",),
    ("guard", "add"),
    ("guard", "make", "nas"),
    ("recover", "tower"),
    ("recover", "--since", "tomorrow, perhaps"),
    ("remove",),
    ("doctor", "now"),
    ("person", "add"),
    ("person", "passwd"),
    ("person", "drop", "ann"),
    ("person", "remove", "ann", "--yes", "--until", "3d"),
    ("person", "add", "gus", "--until", "yesterday"),
    ("invite", "--withdraw", "0"),
    ("invite", "--file", "x", "--uses", "2"),
    ("rules", "--strike", "first"),
    ("audit", "--since", "soon"),
    ("up", "--no-certificate", "--certificate", "a.pem"),
)


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_usage_ends_with_2_and_says_how_it_is_written(cli, sleeping, words):
    seen = cli(*words)
    assert seen.code == 2
    assert seen.out == ""
    assert seen.err.startswith("commonhold: ")
    assert "\nhint: " in seen.err
    document = json.loads(cli("--json", *words).out)
    assert (document["exit"], document["kind"]) == (2, "WrongUsage")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """tower and laptop of peer-to-peer; tower guards."""
    with town(tmp_path_factory.mktemp("our casa")) as make:
        tower, laptop = make("tower", "ann"), make("laptop", "bob")
        tower.create("casa")
        laptop.join(tower)
        until(lambda: all(each.addresses for each in tower.net.members()), "tower knows where laptop is")
        yield tower, laptop


def at(one, terminal, *words, **keys):
    """Typed on a terminal of that computer."""
    return terminal("--home", one.home, *words, **keys)


def test_words_of_a_recovery_key_are_not_shown_as_they_are_typed(network, terminal):
    # The space behind the prompt is written when nothing is shown any more; what is typed after the answer is, again.
    lone = at(network[1], terminal, "recover", keys=b"legal winner thank year\n", asks=b"not shown): ", again=False)
    assert lone.code == 2
    assert "twelve words" in lone.out
    assert "legal winner" not in lone.out, "what is typed is not shown, and not repeated in the error"


def test_accounts_are_no_matter_of_a_network_without_a_server(network):
    tower, _ = network
    for words in (("person", "add", "gus"), ("person", "passwd", "ann")):
        seen = tower.typed(*words, code=4, input="four plain words here\n")
        assert "the network casa has no server" in seen.err
        assert seen.hint == "commonhold invite lets a person join with a computer"
    assert "no password on standard input" in tower.typed("person", "add", "gus", code=2, input="").err


def test_removing_a_person_asks_first(network, terminal):
    tower, _ = network
    assert "--yes" in tower.typed("person", "remove", "bob", code=2).hint
    no = at(tower, terminal, "person", "remove", "bob", keys=b"n\n", asks=b"with all computers?")
    assert (no.code, "Nobody was removed." in no.out) == (1, True)
    no = at(tower, terminal, "remove", "laptop", keys=b"n\n", asks=b"for ever?")
    assert (no.code, "Nothing was removed." in no.out) == (1, True)
    assert {each.computer for each in tower.net.members()} == {"tower", "laptop"}


def test_an_invitation_is_written_carried_and_used_once(network, computer, tmp_path):
    tower, _ = network
    path = tmp_path / "für das näs.invitation"
    said = tower.typed("invite", "--file", path, "--person", "ann", "--minutes", "5").out
    assert said.startswith(f"{path} admits one computer of ann, until ")
    assert f"There:  commonhold join --file {path.name}\n" in said
    assert path.stat().st_mode & 0o777 == 0o600
    taken = tower.typed("invite", "--file", path, code=6)
    assert taken.hint == "name another file; nothing was replaced"
    nas = computer("nas", "ann")
    wrong = nas.typed("join", "7-zoo-zoo", "--file", path, code=2)
    assert wrong.hint
    joined = nas.json("join", "--file", path, "--computer", "nas", "--listen", nas.address)
    assert (joined["computer"], joined["person"]) == ("nas", "ann")
    late = computer("late", "lea")
    again = late.typed("join", "--file", path, "--computer", "late", "--listen", late.address, code=4)
    assert again.hint
    tower.typed("remove", "nas", "--yes")


def test_a_guard_that_cannot_be_told_is_named_and_agrees_when_it_is_back(network):
    """Last, since two guards stay."""
    tower, laptop = network
    assert tower.typed("guard", "add", "laptop").out == "Guards are laptop, tower.\n"
    until(lambda: sum(each.guard for each in laptop.net.members()) == 2, "laptop guards")
    laptop.down()
    seen = tower.typed("remove", "laptop", "--yes").out
    assert "is a guard: signed here, and nothing is removed yet; 1 more must agree." in seen
    assert (
        "Next: commonhold remove laptop, typed on laptop; or, when too few can, commonhold recover --remove laptop"
        in seen
    )
    wish = tower.json("guard", "remove", "laptop")
    assert (wish["done"], wish["missing"], wish["waiting_for"]) == (False, 1, ["laptop"])
    status = tower.typed("status").out
    assert "remove laptop, signed by tower; to agree: commonhold remove laptop, typed on laptop" in status
    assert "guard remove laptop, signed by tower" in status
    laptop.up()
    until(lambda: len(laptop.net.status().proposals) == 2, "laptop has heard of both wishes")
    assert laptop.typed("guard", "remove", "laptop").out.startswith("The guard is tower.\n")
    until(lambda: not tower.net.status().proposals, "what was agreed to ends the other wish")
