"""What commands say on a computer that belongs to no network, and on one whose node is down."""

from __future__ import annotations

import pytest

from commonhold.home import NOT_JOINED, NOT_JOINED_HINT

ASKING = [
    ("invite",),
    ("members",),
    ("remove", "laptop", "--yes"),
    ("guard", "add", "nas"),
    ("allow", "ann", "read", "photos"),
    ("deny", "ann", "read", "photos", "--until", "2h"),
    ("rules",),
    ("explain", "ann", "read", "photos"),
    ("share", "."),
    ("unshare", "photos"),
    ("ls",),
    ("ls", "tower:photos", "-l"),
    ("get", "tower:photos/a.jpg"),
    ("put", ".", "tower:photos", "-r"),
    ("cat", "tower:photos/a.txt"),
    ("mkdir", "tower:photos/new"),
    ("rm", "tower:photos/old"),
    ("run", "true"),
    ("run", "echo {}", ":::", "1", "2"),
    ("jobs",),
    ("log", "1"),
]
names = [" ".join(line) for line in ASKING]


@pytest.mark.parametrize("line", [*ASKING, ("status",), ("doctor",), ("recover",), ("up",), ("down",)], ids=" ".join)
def test_a_computer_that_has_not_joined_is_told_how(cli, line):
    seen = cli(*line)
    assert seen.code == 3
    assert seen.out == ""
    assert seen.err == f"commonhold: {NOT_JOINED}\nhint: {NOT_JOINED_HINT}\n"


@pytest.mark.parametrize("line", [line for line in ASKING if line[0] != "cat"], ids=" ".join)
def test_programs_read_the_same_as_one_document(cli, line):
    document = cli("--json", *line).document
    assert document == {"error": NOT_JOINED, "kind": "NotFound", "exit": 3, "hint": NOT_JOINED_HINT}


@pytest.mark.parametrize("line", [*ASKING, ("down",)], ids=" ".join)
def test_a_node_that_is_down_is_one_command_away(cli, sleeping, line):
    seen = cli(*line)
    assert seen.code == 5
    assert seen.err == "commonhold: The node of this computer is not running.\nhint: commonhold up\n"


def test_nothing_is_made_by_asking(cli, home):
    cli("status")
    cli("ls")
    assert not home.folder.exists()
