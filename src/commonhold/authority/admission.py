"""Letting computers in by a code: the guard's side. The newcomer's is in `newcomer`.

The rules that hold whatever arrives in whatever order: a try is on the disk before the inviter says
anything that a guess could be checked with; the proof is checked before anybody is asked, and nobody
is admitted unasked by an invitation that asks; the code is burnt and the admission signed in one go,
without an await between; what a newcomer is told carries the inviter's proof.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from commonhold.authority.facts import FactStore
from commonhold.authority.invitations import Invitation, Ledger
from commonhold.authority.mending import Mending
from commonhold.authority.roster import admit
from commonhold.authority.waiting import InvitationNews, Waiter, WaitingRoom
from commonhold.errors import CommonholdError, NotFound, Refused, WrongCode
from commonhold.identity.certificate import Certificate
from commonhold.identity.code import four_words
from commonhold.identity.envelope import Envelope
from commonhold.identity.join import Confirmation, Hello, Inviter
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, PersonId, PersonName
from commonhold.transport import caller_of, document, json_answer
from commonhold.wire import to_json

LARGEST_BODY = 16 * 1024  # bytes of what a newcomer sends
PATIENCE = 60.0  # seconds between a newcomer's two messages
MEMORY = 600.0  # seconds in which a lost last answer can be asked for again
AT_ONCE = 4  # conversations that compute SPAKE2 at a time; the others wait
QUEUE = 10.0  # seconds to wait while others have all tries of a code that admits several
MOST_QUEUED = 100  # as many as a code admits at most
HOLD = (
    10.0  # seconds in which a newcomer that waits for an answer gets one, or asks again; less than strangers may stay
)

log = logging.getLogger(__name__)
Record = Callable[..., object]
Hints = Mapping[str, Sequence[str]]


class Contents(msgspec.Struct, frozen=True):
    """What a newcomer is told: which network, who belongs to it, and where they were."""

    network: str
    envelopes: tuple[Envelope, ...]
    addresses: dict[str, tuple[str, ...]]


class LastAnswer(msgspec.Struct, frozen=True):
    """What a computer that was admitted asks for, when the answer to it was lost."""

    session: bytes


class _Conversation(msgspec.Struct):
    inviter: Inviter
    invitation: Invitation
    until: float  # time.monotonic()
    waiter: Waiter | None = None
    admitted: bool = False


class Admission:
    """The door to which newcomers come. `record` hears of "wrong code" and "join", with words that say more.

    `on_admitted` callbacks get the new facts, to be told to the others.
    """

    def __init__(
        self,
        connection: Any,
        key: Key,
        facts: FactStore,
        hints: Callable[[], Hints],
        record: Record,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.on_admitted: list[Callable[[tuple[Envelope, ...]], object]] = []
        self.ledger = Ledger(connection, clock, secrets.token_bytes)
        self._mending = Mending(connection, clock)
        self.waiting_room = WaitingRoom()
        self._wrong_codes: Counter[tuple[int, str]] = Counter()  # by invitation and address
        self.key, self.facts, self.record = key, facts, record
        self._hints, self._clock = hints, clock
        self._conversations: dict[bytes, _Conversation] = {}
        self._computing = asyncio.Semaphore(AT_ONCE)
        self._settled = asyncio.Event()
        self._queued = 0

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(r"/join/{number:\d{1,4}}", self._greet),
            web.post(r"/join/{number:\d{1,4}}/confirm", self._confirm),
            web.post("/join/again", self._again),
        ]

    async def _greet(self, request: web.Request) -> web.Response:
        hello = await document(request, Hello, LARGEST_BODY)
        Certificate.parse(hello.certificate)  # what has no chance costs no try
        invitation = await self._take_try(int(request.match_info["number"]))
        if invitation is None:
            log.debug("somebody at %s asked for a code that is not open", request.remote)
            raise _over()
        inviter = Inviter(invitation.code, self.key.spki, secrets.token_bytes)
        self._conversations[inviter.session] = _Conversation(inviter, invitation, time.monotonic() + PATIENCE)
        try:
            async with self._computing:
                return json_answer(await asyncio.to_thread(inviter.greeted, hello))
        except Refused:
            self._end(inviter.session)
            raise

    async def _take_try(self, number: int) -> Invitation | None:
        """Count a try, on the disk when this returns; None when there is none.

        Twenty that join with one code at once would find its three tries in use by the others, who give
        them back once they have proven themselves: so wait while any of them is under way.
        """
        until = time.monotonic() + QUEUE
        while (invitation := self.ledger.take_try(number)) is None:
            if self._queued >= MOST_QUEUED or time.monotonic() > until or not self._under_way(number):
                return None
            self._settled.clear()
            self._queued += 1
            try:
                async with asyncio.timeout(1.0):
                    await self._settled.wait()
            except TimeoutError:
                pass  # the one under way may have left without a word
            finally:
                self._queued -= 1
        return invitation

    def _under_way(self, number: int) -> bool:
        self._forget()
        talks = (each for each in self._conversations.values() if each.invitation.code.number == number)
        return any(not each.admitted and each.waiter is None for each in talks)

    def _end(self, session: bytes) -> None:
        self._conversations.pop(session, None)
        self._settled.set()

    def _forget(self) -> None:
        now = time.monotonic()
        for session in [session for session, each in self._conversations.items() if each.until < now]:
            del self._conversations[session]

    async def _confirm(self, request: web.Request) -> web.Response:
        confirmation = await document(request, Confirmation, LARGEST_BODY)
        # From here to the answer nothing awaits, unless the inviter is asked: of twenty with the right code, the first
        # takes the last use.
        self._forget()
        conversation = self._conversations.get(confirmation.session)
        if conversation is None or conversation.invitation.code.number != int(request.match_info["number"]):
            raise _over()
        try:
            newcomer = conversation.inviter.confirmed(confirmation)
        except WrongCode as error:
            self._end(confirmation.session)
            raise self._wrong(conversation.invitation, request.remote) from error
        if not conversation.admitted:
            if conversation.invitation.asks and newcomer.fingerprint not in self.facts.roster.members:
                self._ask(conversation, newcomer, confirmation, request.remote)
                if not await self._answered(conversation):
                    here = self.facts.roster.members[self.key.fingerprint]
                    answer = json_answer(conversation.inviter.waiting(here.name))
                    answer.force_close()  # strangers' connections end after a while: better between two questions
                    return answer
            else:
                self._admit(conversation, newcomer, confirmation, request.remote)
        return json_answer(conversation.inviter.welcome(self._contents()))

    def over(self, known: int) -> str:
        """Why that invitation admits nobody any more; nothing while it may. Whoever waits for it in vain hears it."""
        invitation = self.ledger.find(known)
        if invitation is None:
            self.waiting_room.clear(known, too_late())
            return "over"
        proven = self.waiting_room.at(known)
        guessed = invitation.tries <= 0 and not proven and not self._under_way(invitation.code.number)
        return "guessed" if guessed else ""

    def admit_waiting(self, waiter: Waiter) -> None:
        """The inviter said yes. Raises NotFound when it waits no longer, Conflict when its name was taken meanwhile."""
        conversation = self._conversations.get(waiter.confirmation.session)
        if conversation is None:
            raise NotFound("That computer does not wait any more.", "commonhold invite")
        self._admit(conversation, waiter.newcomer, waiter.confirmation, None)

    def _ask(
        self, conversation: _Conversation, newcomer: Certificate, confirmation: Confirmation, remote: str | None
    ) -> None:
        """Let the inviter be asked, once. The try is given back: whoever knows the code spends none by waiting."""
        if conversation.waiter is not None:
            return
        invitation, roster = conversation.invitation, self.facts.roster
        self.ledger.give_back(invitation)
        try:
            self._facts_for(invitation, newcomer, confirmation)  # what cannot be admitted, nobody is asked about
            open_now = self.ledger.find(invitation.id)
            if open_now is None:
                raise _over()
            bound = invitation.person
            question = InvitationNews(
                "asks",
                newcomer=confirmation.session.hex(),
                computer=ComputerName(confirmation.computer),
                person=roster.persons[bound] if bound else PersonName(confirmation.person),
                known=bound is not None,
                words=four_words(newcomer.fingerprint),
                fingerprint=newcomer.fingerprint,
                address=remote or "",
                uses=open_now.uses,
            )
            waiter = Waiter(invitation.code.number, invitation.id, newcomer, confirmation, question)
            self.waiting_room.enter(waiter)
        except CommonholdError:
            self._end(confirmation.session)
            raise
        conversation.waiter = waiter
        conversation.until = time.monotonic() + self._seconds_left(invitation) + MEMORY
        self._settled.set()

    async def _answered(self, conversation: _Conversation) -> bool:
        """Whether the newcomer is admitted by now; waits a while for it. Raises what speaks against it."""
        waiter = conversation.waiter
        if waiter is None:
            raise _over()
        try:
            async with asyncio.timeout(min(HOLD, self._seconds_left(conversation.invitation))):
                await waiter.settled.wait()
        except TimeoutError:
            self.over(waiter.invitation)
        if waiter.trouble is not None:
            raise waiter.trouble
        return waiter.settled.is_set()

    def _seconds_left(self, invitation: Invitation) -> float:
        return max(0.0, (invitation.expires - self._clock()).total_seconds())

    async def _again(self, request: web.Request) -> web.Response:
        """The last answer once more, for a computer that was admitted and shows its certificate: no code, no try."""
        asked = await document(request, LastAnswer, LARGEST_BODY)
        caller = caller_of(request)
        remembered = self._mending.find(caller, asked.session) if caller in self.facts.roster.members else None
        if remembered is None:
            raise _over()
        return json_answer(remembered.welcome(self._contents()))

    def _wrong(self, invitation: Invitation, remote: str | None) -> WrongCode:
        tries = self.ledger.tries_left(invitation.id)
        self.record("wrong code", number=invitation.code.number, address=remote or "", tries=tries)
        self._wrong_codes[invitation.id, remote or ""] += 1
        count = self._wrong_codes[invitation.id, remote or ""]
        news = InvitationNews("wrong code", address=remote or "", count=count, tries=tries)
        self.waiting_room.tell(invitation.id, news)
        return _wrong_code(tries)

    def _admit(
        self, conversation: _Conversation, newcomer: Certificate, confirmation: Confirmation, remote: str | None
    ) -> None:
        """Sign the newcomer in; the code is burnt first, so that a crash between the two admits nobody twice."""
        invitation = conversation.invitation
        try:
            envelopes = self._facts_for(invitation, newcomer, confirmation)
        except CommonholdError:
            # It knew the code, and only the name was wrong: the next hello may come with another one.
            if conversation.waiter is None:  # who waits hears why when it asks again, which may be in a moment only
                self.ledger.give_back(invitation)
                self._end(confirmation.session)
            raise
        self._mending.keep(newcomer.fingerprint, conversation.inviter.remembered)
        if not self.ledger.burn(invitation.id):
            self._end(confirmation.session)
            raise _over()
        if conversation.waiter is None:
            self.ledger.give_back(invitation)
        self.facts.add(envelopes)
        conversation.admitted = True
        conversation.until = time.monotonic() + MEMORY
        self._settled.set()
        member = self.facts.roster.members[newcomer.fingerprint]
        self.record(
            "join",
            computer=member.name,
            person=self.facts.roster.persons[member.person],
            fingerprint=member.fingerprint,
            address=remote or (conversation.waiter.question.address if conversation.waiter else ""),
        )
        if self.ledger.find(invitation.id) is None:
            self.waiting_room.clear(invitation.id, _over())
        for callback in self.on_admitted:
            callback(envelopes)

    def _facts_for(
        self, invitation: Invitation, newcomer: Certificate, confirmation: Confirmation
    ) -> tuple[Envelope, ...]:
        roster = self.facts.roster
        if newcomer.fingerprint in roster.members:
            return ()  # admitted before, and the answer was lost
        computer = ComputerName(confirmation.computer)
        if invitation.person is not None:
            return admit(self.key, roster, newcomer, name=computer, person=invitation.person)
        drawn = PersonId(secrets.token_hex(16))
        person = PersonName(confirmation.person)
        return admit(self.key, roster, newcomer, name=computer, person=drawn, person_name=person)

    def _contents(self) -> bytes:
        roster = self.facts.roster
        addresses = {known: tuple(found) for known, found in self._hints().items()}
        return to_json(Contents(roster.network_id, roster.envelopes, addresses))


def _wrong_code(tries: int) -> WrongCode:
    if not tries:
        return WrongCode("The code is wrong, and no try is left.", "ask for a new code", tries=0)
    left = "1 try is" if tries == 1 else f"{tries} tries are"
    return WrongCode(f"The code is wrong; {left} left.", "compare it with what the other computer shows", tries=tries)


def too_late() -> Refused:
    return Refused("The code's time ended before anybody said yes.", "ask for a new code")


def _over() -> WrongCode:
    """The same for a number that is spent, over, or was never given out."""
    return WrongCode("No invitation is open for this code: it is spent or over.", "ask for a new code", tries=0)
