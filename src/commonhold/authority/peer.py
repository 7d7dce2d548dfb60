"""Who decides in a peer-to-peer network: each computer's owner, at that computer's doors."""

from __future__ import annotations

from commonhold.authority.authority import Subject
from commonhold.authority.keeper import Keeper


class PeerKeeper(Keeper):
    """A computer that guards its own doors; its owner alone says who may open them."""

    def capacity(self, subject: Subject) -> str:
        return f"the owner of {self.name()}" if subject.person == self.owner else ""
