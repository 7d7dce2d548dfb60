"""What `expose` predicts is what somebody achieves who tries everything: the same files, one by one."""

from __future__ import annotations

import pytest

from commonhold.node.premises import RECOVERY, landscape
from commonhold.plan.reach.exposure import exposure
from commonhold.plan.reach.landscape import Holds, Landscape, May, Power, Reach, Shows

from .prober import Chanced, Got, House, Prober

NETWORKS, TOGETHER = 200, 10


def predicted(network: Chanced, land: Landscape, start: Holds | Shows) -> Got:
    reach, got = land.reach(start), Got(set(), set(), set())
    for house in network.houses:
        for file, (_, places) in house.files.items():
            doors = [share.door.id for share, _ in places]
            holds = Holds(house.fingerprint) in reach.ways
            read, destroy, forget = (
                _may(reach, power, house, doors) for power in (Power.READ, Power.DESTROY, Power.FORGET)
            )
            for found, reached in zip(got, (read, destroy, destroy & forget), strict=True):
                if holds or reached:
                    found.add(file)
    return got


def _may(reach: Reach, power: Power, house: House, doors: list[str]) -> set[str]:
    return {door for door in doors if May(power, house.fingerprint, door) in reach.ways}


def tried(network: Chanced) -> dict[tuple[str, str], Got]:
    """By what was held: kind and name, as the rows have them."""
    admitting = Prober(network).admitting()
    found = {("recovery key", RECOVERY): admitting}
    for fingerprint, member in network.roster.members.items():
        got = Prober(network).holding_key(fingerprint)
        if fingerprint in network.roster.guards:
            got = Got(*map(set.union, got, admitting))
        found["key", f"{member.name}'s key"] = got
        found["computer", member.name] = Got(*(each | network.lying_on(fingerprint) for each in got))
    for person, name in network.roster.persons.items():
        if network.accounts.present(person):
            found["password", f"{name}'s password"] = Prober(network).holding_password(person)
    return found


@pytest.mark.parametrize("first", range(0, NETWORKS, TOGETHER))
def test_what_is_predicted_is_what_a_prober_achieves_file_by_file(tmp_path, first):
    for seed in range(first, first + TOGETHER):
        network = Chanced(seed, tmp_path / str(seed))
        land = landscape(network.premises(), network.roster, [], lambda network=network: network.now)
        rows = {(row.kind, row.name): row for row in exposure(land).rows}
        files = sum(len(house.files) for house in network.houses)
        computers = {member.name: fingerprint for fingerprint, member in network.roster.members.items()}
        achieved = tried(network)
        assert rows.keys() == achieved.keys(), seed
        for (kind, name), got in achieved.items():
            start = Holds(computers[name]) if kind == "computer" else Shows(name)
            assert predicted(network, land, start) == got, (seed, kind, name)
            row = rows[kind, name]
            counted = [row.read, row.destroy, row.gone]
            assert [part * files for part in counted] == pytest.approx([len(each) for each in got]), (seed, kind, name)
