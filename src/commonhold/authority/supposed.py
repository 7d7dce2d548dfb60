"""What would be decided if these were the rules: the real authority, over a copy of them. It opens nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

from commonhold.authority.authority import Rule
from commonhold.authority.book import copied
from commonhold.authority.keeper import Keeper
from commonhold.authority.passes import Passes
from commonhold.authority.peer import PeerKeeper
from commonhold.authority.roster import Roster
from commonhold.authority.server import ServerKeeper
from commonhold.names import Fingerprint, PersonId


def supposed(
    roster: Roster,
    rules: Iterable[Rule],
    groups: Mapping[str, Collection[PersonId]],
    *,
    owner: PersonId,
    computer: Fingerprint,
    now: Callable[[], datetime],
) -> Keeper:
    """That computer's keeper, if its book said this and nothing else, and every password still held.

    Only its `decide` and its `book` are for use, in the thread that asks for it: permits come from the real one.
    """

    kept = (lambda: roster), copied(rules, groups, now), Passes(lambda: keeper, now), owner, computer
    keeper: Keeper
    if roster.server == computer:
        keeper = ServerKeeper(*kept, now=now, holds=lambda _: True)
    else:
        keeper = PeerKeeper(*kept, now=now)
    return keeper
