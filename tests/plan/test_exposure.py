"""Who could read or destroy what, in networks that are only described; tests/proof tries it at real doors."""

from __future__ import annotations

from statistics import mean

import pytest
from msgspec.structs import replace

from commonhold.authority.authority import Rule, Standing, Subject, Verb
from commonhold.errors import WrongUsage
from commonhold.names import PersonId
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.reach.exposure import exposure, pivots, severity, shifts
from commonhold.plan.reach.imagined import Imagined
from commonhold.plan.reach.landscape import Acts, Credential, Holds, Landscape, Pile, Shows

PEERS, SERVER = Shape.PEER_TO_PEER, Shape.CLIENT_SERVER
WORKED = (  # a worked example: ten computers, 500 files each, three fifths of them shared to be written
    (Imagined(PEERS, letting="trusting", verb=Verb.WRITE, guards=0), 0.64, 0.64, 0.64, 0.64),
    (Imagined(PEERS, one_password=True, guards=0), 1.0, 1.0, 1.0, 1.0),
    (Imagined(PEERS, letting="invited", verb=Verb.WRITE, guards=0), 0.28, 0.28, 0.28, 0.28),
    (Imagined(SERVER, letting="trusting", verb=Verb.WRITE), 0.64, 0.64, 1.0, 1.0),
    (Imagined(SERVER, letting="invited", verb=Verb.WRITE), 0.28, 0.28, 1.0, 1.0),
    (Imagined(SERVER, letting="invited", verb=Verb.WRITE, signed_on=True), 0.352, 1.0, 1.0, 1.0),
)


def row(found, name, kind="key"):
    return next(each for each in found.rows if (each.name, each.kind) == (name, kind))


@pytest.mark.parametrize(("network", "average", "most", "credential", "computer"), WORKED)
def test_the_same_figures_as_a_worked_example(network, average, most, credential, computer):
    found = network.exposure()
    theirs = [each.destroy for each in found.of("computer") if each.name != "server"]
    assert (mean(theirs), max(theirs)) == pytest.approx((average, most))
    assert max(each.destroy for each in found.of("key")) == pytest.approx(credential)
    assert max(each.destroy for each in found.of("computer")) == pytest.approx(computer)


def test_a_guard_reaches_everything_since_it_admits_computers_in_anybodys_name():
    found = Imagined(PEERS, computers=4, guards=1).exposure()
    worst = found.rows[0]
    assert (worst.name, worst.severity, worst.gone, worst.doors) == ("computer 1", "critical", 1.0, 12)
    way = next(each for each in row(found, "computer 1's key").approaches if each.door == "computer 3:kept 3")
    assert way.extent == "destroys beyond the versions"
    assert way.steps == ("admits a computer of person 3's", "owns computer 3's doors")
    assert row(found, "computer 2's key").destroy == 0.25


def test_versions_are_beyond_whoever_may_only_write():
    found = Imagined(PEERS, computers=5, letting="trusting", verb=Verb.WRITE, guards=0).exposure()
    assert {(each.destroy, each.gone) for each in found.of("key")} == {(0.68, 0.2)}


def test_reading_destroys_nothing_and_counts_doors():
    found = row(Imagined(SERVER, computers=4, letting="trusting").exposure(), "computer 2's key")
    assert (found.read, found.destroy, found.gone) == (0.25 + 0.75 * 0.6, 0.25, 0.0)
    assert (found.doors, found.computers, found.severity) == (5, 1, "moderate")


def test_in_a_trusting_network_more_is_read_the_more_there_are_and_in_a_closed_one_less():
    def read(letting, computers):
        keys = Imagined(PEERS, computers=computers, letting=letting, guards=0).exposure().of("key")
        return mean(each.read for each in keys) * computers * 500

    assert [read("closed", each) for each in (2, 4, 8)] == pytest.approx([500] * 3)
    assert [read("trusting", each) for each in (2, 4, 8)] == pytest.approx([800, 1400, 2600])


@pytest.mark.parametrize(
    ("part", "word"), [(1, "critical"), (0.8, "high"), (0.79, "moderate"), (0.4, "moderate"), (0, "low")]
)
def test_severity_is_told_in_words(part, word):
    assert severity(part) == word


def test_what_decides_most_is_what_would_help_most():
    land = Imagined(PEERS, computers=3, letting="trusting", guards=0).landscape()
    site = next(iter(land.sites.values()))
    found = pivots(land)
    assert [each.fact for each in found] == [f"allow members read shared {each}" for each in (1, 2, 3)]
    without = exposure(land.without_rule(site, site.rules[0]))
    fallen = mean(each.read for each in exposure(land).of("key")) - mean(each.read for each in without.of("key"))
    assert found[0].read == pytest.approx(fallen) == pytest.approx(2 / 3 * 0.6 / 3)
    assert found[0].destroy == 0


def test_a_change_tells_the_rows_that_it_changes_and_no_others():
    land = Imagined(PEERS, computers=3, letting="invited", colleagues=1, guards=0).landscape()
    site = next(iter(land.sites.values()))
    changed = shifts(exposure(land), exposure(land.without_rule(site, site.rules[0])))
    assert {(each.name, each.before.kind) for each in changed} == {
        ("computer 2's key", "key"),
        ("computer 2", "computer"),
    }
    assert all(each.before.read > each.after.read for each in changed)
    fewer = Landscape(list(land.sites.values()), list(land.credentials.values())[:2], {}, land.persons)
    gone = [each for each in shifts(exposure(land), exposure(fewer)) if each.after is None]
    assert {each.before.kind for each in gone} == {"key"}


def test_a_variant_tells_what_the_whole_made_anew_tells():
    """Only what a change touches is asked again."""
    land = Imagined(SERVER, computers=4, letting="invited", colleagues=2).landscape()
    (site,) = land.sites.values()
    for rule in site.rules:
        left = replace(site, rules=tuple(each for each in site.rules if each != rule))
        anew = Landscape([left], list(land.credentials.values()), land.lying, land.persons, names=land.names)
        assert exposure(land.without_rule(site, rule)) == exposure(anew)


def test_a_membership_weighs_what_it_opens():
    """An admin of a server says a rule; without the group, nothing."""
    land = Imagined(SERVER, computers=2).landscape()
    site, first = land.sites[next(iter(land.sites))], PersonId(f"{1:032x}")
    friend = Rule(99, "group:friends", "friends", Verb.READ, "kept 2", "kept 2")
    site = replace(site, rules=(*site.rules, friend), groups={"friends": frozenset({first})})
    land = Landscape([site], list(land.credentials.values()), land.lying, land.persons)
    opened = {each.door: each for each in row(exposure(land), "computer 1's key").approaches}
    assert opened["server:kept 2"].steps == ("group friends: “allow friends read kept 2” at server",)
    assert "person 1 in the group friends" in {each.fact for each in pivots(land)}


def test_a_folder_shared_within_another_is_reached_through_both():
    land = Imagined(PEERS, computers=2, guards=0).landscape()
    site = next(iter(land.sites.values()))
    inner, outer = (door.id for door in site.doors)
    nested = (Pile(frozenset({outer}), 1, 10), Pile(frozenset({inner, outer}), 3, 90))
    other = Subject(standing=Standing.MEMBER, person=PersonId(f"{2:032x}"), person_name="person 2")
    for door, files, octets in ((inner, 0.75, 0.9), (outer, 1.0, 1.0)):
        said = (Rule(1, other.person, "person 2", Verb.READ, door, door),)
        key = Credential("theirs", "key", (other,))
        land = Landscape([replace(site, piles=nested, rules=said)], [key], {}, {})
        assert row(exposure(land), "theirs").read == files
        assert row(exposure(land, by="bytes"), "theirs").read == octets


def test_without_walls_whoever_is_named_to_run_holds_the_computer():
    land = Imagined(PEERS, computers=2, guards=0).landscape()
    site = next(iter(land.sites.values()))
    person = PersonId(f"{2:032x}")
    guest = Subject(standing=Standing.MEMBER, person=person, person_name="person 2")
    for who, walled, held in ((person, True, False), (person, False, True), ("members", False, False)):
        run = Rule(1, who, "them", Verb.RUN, "compute", "compute")
        changed = Landscape([replace(site, rules=(run,), walled=walled)], [], {}, {})
        reach = changed.reach(Acts(guest, True))
        assert (Holds(site.computer) in reach.ways) is held
    password = changed.reach(Acts(guest, False))
    assert not any(reach.has(power, site, pile) for power in ("read", "destroy") for pile in site.piles)
    assert Holds(site.computer) not in password.ways


def test_an_empty_network_has_nothing_to_lose():
    land = Landscape([], [Credential("a key", "key", ())], {"x": ["a key"]}, {}, ["tower"])
    found = exposure(land)
    assert [(each.name, each.read, each.doors) for each in found.rows] == [("x", 0.0, 0), ("a key", 0.0, 0)]
    assert (found.files, found.unknown) == (0, ("tower",))
    assert pivots(land) == []
    assert Shows("a key") in land.reach(Holds("x")).ways


@pytest.mark.parametrize("wrong", [{"computers": 0}, {"letting": "invited", "colleagues": 10}, {"kept": 2.0}])
def test_what_cannot_be_imagined_is_named(wrong):
    with pytest.raises(WrongUsage):
        Imagined(**wrong)
