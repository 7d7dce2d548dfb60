"""The textbook's claims: all of them, each with a sentence, the same each time."""

from __future__ import annotations

import shlex

import pytest

from commonhold.cli.main import commands
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.seeded import chance, tried_claims
from commonhold.plan.textbook.chores import CHORES, effort
from commonhold.plan.textbook.hazards import networks
from commonhold.plan.textbook.profiles import dearer, profiles, shares
from commonhold.plan.values.scenario import Scenario

WORDS = {"CODE": "7-otter-lamp", "FOLDER": "photos", "REMOTE": "tower:photos", "TIME": "3h"}


@pytest.fixture(scope="module")
def found():
    return tried_claims([], Scenario({}))


def test_each_claim_has_a_verdict_and_figures_or_says_what_would_try_it(found):
    assert [each.number for each in found] == list(range(1, 12))
    for each in found:
        if each.verdict == "untried":
            assert "commonhold compare" in each.because
            assert not each.figures
        else:
            assert each.figures
            assert any(character.isdigit() for character in each.because)
        assert each.because[0].isupper()
        assert each.because.endswith(".")


def test_the_same_scenario_the_same_claims(found):
    assert dearer(Scenario({}), chance) in found


def test_small_networks_are_advised_peers_and_strict_ones_a_server():
    assert shares(list(profiles((2,))), chance)[Shape.PEER_TO_PEER] > 0.8
    assert shares(list(profiles((2,), strict=True)), chance) == {"peer-to-peer": 0, "client-server": 1, "either": 0}


def test_a_server_takes_the_same_commands_whatever_its_size_and_peers_more_with_each():
    assert len(CHORES) == 12
    assert effort(Shape.CLIENT_SERVER, 3) == effort(Shape.CLIENT_SERVER, 50)
    assert effort(Shape.PEER_TO_PEER, 4).commands - effort(Shape.PEER_TO_PEER, 3).commands == 3


@pytest.mark.parametrize("line", sorted({step.line for chore in CHORES for step in (*chore.peers, *chore.server)}))
def test_every_command_of_a_task_is_one_that_there_is(line):
    """It is parsed as when it is typed, and not carried out."""
    program, name, *words = (WORDS.get(word, word.lower() if word.isupper() else word) for word in shlex.split(line))
    assert program == "commonhold"
    with commands.make_context("commonhold", [name, *words]) as context:
        command = commands.get_command(context, name)
        assert command.make_context(name, words, parent=context).params


def test_what_is_exact_about_stolen_keys(found):
    security, growing = found[0], found[-1]
    assert security.figures["in the naive network, mean"] == 1.0
    assert security.figures["among peers, mean"] == pytest.approx((9 * 0.28 + 1) / 10), "the guard's admits anybody"
    assert security.figures["with a server, worst"] == 1.0
    assert security.verdict == growing.verdict == "depends"
    assert growing.figures["in the naive network, 12 computers"] == pytest.approx(0.12)
    assert growing.figures["among peers, 12 computers"] < 0.04


def test_what_has_versions_is_never_gone_before_it_is_destroyed():
    for network in networks(5).values():
        assert all(row.gone <= row.destroy <= row.read for row in network.rows)
