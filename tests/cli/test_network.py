"""`create`, `invite`, `join`, `up`, `down`, `status`, `members`, `remove`: what needs no running node."""

from __future__ import annotations

import pytest

from commonhold.answers import Ruling, SharedFolder, Status
from commonhold.cli.join import standing
from commonhold.home import LendingTerms

from ..conftest import performed


def a_status(**more):
    known = {
        "network": "home",
        "network_id": "f" * 64,
        "shape": "peer-to-peer",
        "trusting": False,
        "computer": "laptop",
        "person": "bob",
        "role": "peer",
        "words": "a-b-c-d",
        "fingerprint": "0" * 64,
        "running": True,
        "version": "0.1.0",
    }
    return Status(**{**known, **more})


def run_by(who, effect="allow"):
    return Ruling(who, "run", "compute", effect, f"{effect} {who} run compute")


def test_status_without_a_node_shows_what_is_known(cli, sleeping):
    seen = cli("status")
    assert seen.code == 0
    assert "computer:  laptop" in seen.lines
    assert "running:   no" in seen.lines
    assert seen.err == "hint: commonhold up\n"


def test_status_without_a_node_as_a_document(cli, sleeping):
    document = cli("--json", "status").document
    assert document["running"] is False
    assert document["computer"] == "laptop"


@pytest.mark.parametrize("arguments", [(), ("a", "b"), ("home", "--shape", "ring")])
def test_create_needs_one_name_and_a_shape_there_is(cli, arguments):
    assert cli("create", *arguments).code == 2


@pytest.mark.parametrize("options", [("--minutes", "0"), ("--minutes", "0.05"), ("--uses", "0"), ("--uses", "many")])
def test_an_invitation_lives_a_while_and_is_for_somebody(cli, options):
    assert cli("invite", *options).code == 2


def test_join_looks_for_the_folder_before_it_spends_the_code(cli, home, tmp_path):
    seen = cli("join", "7-otter-plum", "--share", tmp_path / "nothing")
    assert seen.code == 3
    assert "There is no folder" in seen.err
    assert not home.folder.exists()


def test_join_without_a_code_asks_for_it(terminal, home):
    seen = terminal("join", keys=b"seven otters\n", asks=b"Code: ")
    assert seen.out.startswith("Code: ")
    assert seen.code == 2
    assert "That is no code" in seen.out


@pytest.mark.parametrize("line", [b"", b"\n", b"\xff\xfe\n", b"7" * 100_000])
def test_join_without_a_code_and_without_one_on_standard_input_is_wrong_usage(home, line):
    seen = performed(["join"], line.decode(errors="surrogateescape"))
    assert seen.code == 2
    assert seen.out == ""
    assert seen.err.startswith("commonhold: That is no code")


def test_lending_is_always_or_never(cli):
    assert cli("join", "7-otter-plum", "--lend", "sometimes").code == 2


def test_remove_without_anybody_to_ask_wants_a_yes(cli, sleeping):
    seen = cli("--json", "remove", "laptop")
    assert seen.code == 2
    assert seen.document["hint"] == "commonhold remove laptop --yes"


def test_remove_asks_and_no_is_no(terminal, sleeping):
    seen = terminal("remove", "laptop", keys=b"n\n")
    assert "Remove laptop for ever? [y/N]" in seen.out
    assert "Nothing was removed." in seen.out
    assert seen.code == 1


def test_remove_asks_and_yes_goes_on(terminal, sleeping):
    seen = terminal("remove", "laptop", keys=b"y\n")
    assert seen.code == 5  # as far as the node, which is down
    assert "hint: commonhold up" in seen.out


def test_a_newcomer_reads_what_it_shares_and_lends():
    assert standing(a_status(), []) == (
        "laptop shares nothing yet (commonhold share FOLDER)"
        " and lends its processors to nobody (commonhold allow WHO run compute)."
    )


def test_a_newcomer_that_shares_and_lends_reads_to_whom():
    status = a_status(shares=(SharedFolder("photos", "/home/bob/photos"),))
    assert standing(status, [run_by("members"), run_by("eve", "deny")]) == (
        "laptop shares photos and lends its processors to members (commonhold deny WHO run compute)."
    )


def test_a_newcomer_that_never_lends():
    assert standing(a_status(lend=LendingTerms(when="never")), [run_by("members")]).endswith(
        "never lends its processors."
    )


def test_a_client_has_no_door():
    assert "client" in standing(a_status(role="client"), [])
