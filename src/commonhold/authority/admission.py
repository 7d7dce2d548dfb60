"""Letting computers in by a short code: the inviter's routes, and what the newcomer does.

The rules that hold whatever arrives in whatever order: a try is on the disk before the inviter says
anything that a guess could be checked with; the proof is checked, the code burnt and the admission
signed in one go, without an await between; what a newcomer is told carries the inviter's proof.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from commonhold.authority.facts import FactStore
from commonhold.authority.invitations import Invitation, Ledger
from commonhold.authority.roster import Roster, admit, require_guard
from commonhold.authority.statements import Member
from commonhold.errors import CommonholdError, NotFound, Refused, Unreachable, WrongCode
from commonhold.identity.certificate import Certificate
from commonhold.identity.code import Code
from commonhold.identity.envelope import Envelope
from commonhold.identity.join import Confirmation, Hello, Inviter, Newcomer, Reply, Welcome
from commonhold.identity.keys import Key, fingerprint_of
from commonhold.names import ComputerName, Fingerprint, PersonId, PersonName
from commonhold.transport import Address, Knock, document, json_answer
from commonhold.wire import convert, from_json, to_json

LARGEST_BODY = 16 * 1024  # bytes of what a newcomer sends
PATIENCE = 60.0  # seconds between a newcomer's two messages
MEMORY = 600.0  # seconds in which a lost last answer can be asked for again
AT_ONCE = 4  # conversations that compute SPAKE2 at a time; the others wait
QUEUE = 10.0  # seconds to wait while others have all tries of a code that admits several
MOST_WAITING = 100  # as many as a code admits at most

log = logging.getLogger(__name__)
Message = TypeVar("Message")
Record = Callable[..., object]
Hints = Mapping[str, Sequence[str]]


class Contents(msgspec.Struct, frozen=True):
    """What a newcomer is told: which network, who belongs to it, and where they were."""

    network: str
    envelopes: tuple[Envelope, ...]
    addresses: dict[str, tuple[str, ...]]


class _Conversation(msgspec.Struct):
    inviter: Inviter
    invitation: Invitation
    until: float  # time.monotonic()
    admitted: bool = False


class Invitations:
    """A guard's side. `record` hears of "invitation", "wrong code" and "join", with words that say more.

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
        self._ledger = Ledger(connection, clock, secrets.token_bytes)
        self._key, self._facts, self._hints, self._record = key, facts, hints, record
        self._conversations: dict[bytes, _Conversation] = {}
        self._computing = asyncio.Semaphore(AT_ONCE)
        self._settled = asyncio.Event()
        self._waiting = 0

    def invite(self, person: str | None = None, minutes: float = 10, uses: int = 1) -> tuple[Code, datetime]:
        """A code and when it ends. With `person` (name or id) the newcomer becomes a computer of that person.

        Raises Refused on a computer that is no guard, NotFound for an unknown person, WrongUsage, Conflict.
        """
        roster = self._facts.roster
        require_guard(self._key, roster)
        bound = roster.find_person(person) if person is not None else None
        if person is not None and bound is None:
            raise NotFound(f"There is nobody called “{person}” in the network {roster.network}.", "commonhold members")
        invitation = self._ledger.draw(bound, minutes, uses)
        words = {"person": roster.persons[bound]} if bound else {}
        self._record("invitation", number=invitation.code.number, minutes=minutes, uses=uses, **words)
        return invitation.code, invitation.expires

    def open(self) -> tuple[Invitation, ...]:
        return self._ledger.open()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(r"/join/{number:\d{1,2}}", self._greet),
            web.post(r"/join/{number:\d{1,2}}/confirm", self._confirm),
        ]

    async def _greet(self, request: web.Request) -> web.Response:
        hello = await document(request, Hello, LARGEST_BODY)
        Certificate.parse(hello.certificate)  # what has no chance costs no try
        invitation = await self._take_try(int(request.match_info["number"]))
        if invitation is None:
            log.info("somebody at %s asked for a code that is not open", request.remote)
            raise _over()
        inviter = Inviter(invitation.code, self._key.spki, secrets.token_bytes)
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
        while (invitation := self._ledger.take_try(number)) is None:
            if self._waiting >= MOST_WAITING or time.monotonic() > until or not self._under_way(number):
                return None
            self._settled.clear()
            self._waiting += 1
            try:
                async with asyncio.timeout(1.0):
                    await self._settled.wait()
            except TimeoutError:
                pass  # the one under way may have left without a word
            finally:
                self._waiting -= 1
        return invitation

    def _under_way(self, number: int) -> bool:
        self._forget()
        return any(not each.admitted and each.invitation.code.number == number for each in self._conversations.values())

    def _end(self, session: bytes) -> None:
        self._conversations.pop(session, None)
        self._settled.set()

    def _forget(self) -> None:
        now = time.monotonic()
        for session in [session for session, each in self._conversations.items() if each.until < now]:
            del self._conversations[session]

    async def _confirm(self, request: web.Request) -> web.Response:
        confirmation = await document(request, Confirmation, LARGEST_BODY)
        # From here to the answer nothing awaits: of twenty with the right code, the first takes the last use.
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
            self._admit(conversation, newcomer, confirmation, request.remote)
        return json_answer(conversation.inviter.welcome(self._contents()))

    def _wrong(self, invitation: Invitation, remote: str | None) -> WrongCode:
        tries = self._ledger.tries_left(invitation.id)
        self._record("wrong code", number=invitation.code.number, address=remote or "", tries=tries)
        if not tries:
            return WrongCode("The code is wrong, and no try is left.", "ask for a new code", tries=0)
        left = "1 try is" if tries == 1 else f"{tries} tries are"
        return WrongCode(
            f"The code is wrong; {left} left.", "compare it with what the other computer shows", tries=tries
        )

    def _admit(
        self, conversation: _Conversation, newcomer: Certificate, confirmation: Confirmation, remote: str | None
    ) -> None:
        """Sign the newcomer in; the code is burnt first, so that a crash between the two admits nobody twice."""
        invitation = conversation.invitation
        try:
            envelopes = self._facts_for(invitation, newcomer, confirmation)
        except CommonholdError:
            # It knew the code, and only the name was wrong: the next hello may come with another one.
            self._ledger.give_back(invitation.id)
            self._end(confirmation.session)
            raise
        if not self._ledger.burn(invitation.id):
            self._end(confirmation.session)
            raise _over()
        self._ledger.give_back(invitation.id)
        self._facts.add(envelopes)
        conversation.admitted = True
        conversation.until = time.monotonic() + MEMORY
        self._settled.set()
        member = self._facts.roster.members[newcomer.fingerprint]
        self._record(
            "join",
            computer=member.name,
            person=self._facts.roster.persons[member.person],
            fingerprint=member.fingerprint,
            address=remote or "",
        )
        for callback in self.on_admitted:
            callback(envelopes)

    def _facts_for(
        self, invitation: Invitation, newcomer: Certificate, confirmation: Confirmation
    ) -> tuple[Envelope, ...]:
        roster = self._facts.roster
        if newcomer.fingerprint in roster.members:
            return ()  # admitted before, and the answer was lost
        computer = ComputerName(confirmation.computer)
        if invitation.person is not None:
            return admit(self._key, roster, newcomer, name=computer, person=invitation.person)
        drawn = PersonId(secrets.token_hex(16))
        person = PersonName(confirmation.person)
        return admit(self._key, roster, newcomer, name=computer, person=drawn, person_name=person)

    def _contents(self) -> bytes:
        roster = self._facts.roster
        addresses = {known: tuple(found) for known, found in self._hints().items()}
        return to_json(Contents(roster.network_id, roster.envelopes, addresses))


def _over() -> WrongCode:
    """The same for a number that is spent, over, or was never given out."""
    return WrongCode("No invitation is open for this code: it is spent or over.", "ask for a new code", tries=0)


class Joined(msgspec.Struct, frozen=True):
    """What a newcomer has become part of: everything in it is proven, except that addresses are hints."""

    network_id: str
    envelopes: tuple[Envelope, ...]
    member: Member  # this computer as the roster has it
    inviter: Fingerprint
    addresses: dict[Fingerprint, tuple[Address, ...]]


async def join(
    knock: Knock, key: Key, certificate: Certificate, code: Code, *, computer: ComputerName, person: PersonName
) -> Joined:
    """Join through the guard at the other end of `knock`.

    `person` counts unless the invitation is bound to one. Raises WrongCode, Conflict when a name is
    taken, Unreachable, and Refused when what answers is not what it says.
    """
    newcomer = Newcomer(code, key, certificate, await knock.meet(), secrets.token_bytes)
    hello = await asyncio.to_thread(newcomer.hello)
    reply = _said(await knock.ask(f"/join/{code.number}", hello), Reply)
    confirmation = await asyncio.to_thread(newcomer.answered, reply, computer, person)
    try:
        answer = await knock.ask(f"/join/{code.number}/confirm", confirmation)
    except Unreachable:  # perhaps admitted already, and only the answer was lost: the inviter repeats it
        answer = await knock.ask(f"/join/{code.number}/confirm", confirmation)
    contents = newcomer.welcomed(_said(answer, Welcome))
    return await asyncio.to_thread(_checked, contents, key, fingerprint_of(knock.server_spki))


def _said(answer: object, kind: type[Message]) -> Message:
    try:
        return convert(answer, kind)
    except msgspec.ValidationError as error:
        raise Refused("The computer that answered does not speak of joining as Commonhold does.") from error


def _checked(encoded: bytes, key: Key, inviter: Fingerprint) -> Joined:
    """What the inviter told, after a look whether it fits together."""
    try:
        contents = from_json(encoded, Contents)
    except ValueError as error:
        raise Refused("The inviter's answer cannot be read.") from error
    roster = Roster.of(contents.network, contents.envelopes)
    if key.fingerprint not in roster.members or inviter not in roster.guards:
        raise Refused("The inviter's answer does not admit this computer.", "ask for a new code")
    addresses = {Fingerprint(known): _addresses(found) for known, found in contents.addresses.items()}
    return Joined(contents.network, roster.envelopes, roster.members[key.fingerprint], inviter, addresses)


def _addresses(texts: Sequence[str]) -> tuple[Address, ...]:
    return tuple(Address.parse(text) for text in texts)
