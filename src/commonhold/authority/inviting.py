"""Inviting: what a guard's person does at the own computer, while newcomers come to the door of `admission`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec

from commonhold.authority.admission import Admission, too_late
from commonhold.authority.invitations import Invitation
from commonhold.authority.roster import require_guard
from commonhold.authority.waiting import InvitationNews, Waiter
from commonhold.errors import CommonholdError, NotFound, Refused

WITHDRAWN = "The invitation was withdrawn before anybody said yes."


class Invitations:
    """A guard's invitations: drawing them, hearing who asks, saying yes or no. The record hears of each."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._ledger, self._room = admission.ledger, admission.waiting_room

    def invite(
        self,
        person: str | None = None,
        minutes: float = 10,
        uses: int = 1,
        *,
        asks: bool = False,
        long: bool = False,
    ) -> Invitation:
        """An open invitation. With `person` (name or id) the newcomer becomes a computer of that person.

        `asks`: nobody is admitted by it before `decide`. `long`: its code is one for a file. Raises Refused on a
        computer that is no guard, NotFound for an unknown person, WrongUsage, Conflict.
        """
        roster = self._admission.facts.roster
        require_guard(self._admission.key, roster)
        bound = roster.find_person(person) if person is not None else None
        if person is not None and bound is None:
            raise NotFound(f"There is nobody called “{person}” in the network {roster.network}.", "commonhold members")
        invitation = self._ledger.draw(bound, minutes, uses, asks=asks, long=long)
        words = {"person": roster.persons[bound]} if bound else {}
        self._admission.record("invitation", number=invitation.code.number, minutes=minutes, uses=uses, **words)
        return invitation

    def open(self) -> tuple[Invitation, ...]:
        return self._ledger.open()

    def withdraw(self, number: int) -> None:
        """End an invitation. Raises NotFound."""
        self._end(self._open(number))

    @contextmanager
    def news(self, number: int) -> Iterator[AsyncIterator[InvitationNews]]:
        """What happens at an invitation, until it is over. Raises NotFound.

        An invitation that asks ends with the last who listens: nobody is there to be asked then.
        """
        invitation = self._open(number)
        known = invitation.id
        try:
            with self._room.listen(known, lambda: self._admission.over(known)) as heard:
                yield heard
        finally:
            if invitation.asks and self._ledger.find(known) and not self._room.heard(known):
                self._end(invitation)

    def decide(self, number: int, newcomer: str, yes: bool) -> InvitationNews:
        """Admit a newcomer that asks, or not: a no ends the invitation. On the disk when this returns.

        Raises NotFound when it does not wait (any more), Conflict when its name was taken meanwhile.
        """
        waiter = self._room.take(number, newcomer)
        invitation = self._ledger.find(waiter.invitation)
        if invitation is None:
            waiter.settle(too_late())
            raise NotFound("The invitation is over.", "commonhold invite")
        if not yes:
            self._refuse(waiter, invitation)
            return self._told(waiter, "refused")
        try:
            self._admission.admit_waiting(waiter)
        except CommonholdError as error:
            waiter.settle(error)
            raise
        waiter.settle()
        return self._told(waiter, "joined")

    def _refuse(self, waiter: Waiter, invitation: Invitation) -> None:
        asked, roster = waiter.question, self._admission.facts.roster
        here = roster.members[self._admission.key.fingerprint]
        words = {"computer": asked.computer, "person": asked.person, "fingerprint": asked.fingerprint}
        self._end(invitation)
        self._admission.record("join refused", **words, address=asked.address)
        owner = f"{here.name}'s owner {roster.persons[here.person]}"
        waiter.settle(Refused(f"{owner} said no: this computer is not admitted.", "ask what went wrong"))

    def _told(self, waiter: Waiter, event: Literal["joined", "refused"]) -> InvitationNews:
        left = self._ledger.find(waiter.invitation)
        news = msgspec.structs.replace(waiter.question, event=event, uses=left.uses if left else 0)
        self._room.tell(waiter.invitation, news)
        return news

    def _open(self, number: int) -> Invitation:
        found = self._ledger.numbered(number)
        if found is None:
            raise NotFound(f"No invitation number {number} is open.", "commonhold status")
        return found

    def _end(self, invitation: Invitation) -> None:
        self._ledger.withdraw(invitation.id)
        self._admission.record("invitation withdrawn", number=invitation.code.number)
        self._room.clear(invitation.id, Refused(WITHDRAWN, "ask for a new code"))
