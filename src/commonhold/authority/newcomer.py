"""Joining by a code: the newcomer's side, from the first message to the last, and the mending of a lost last answer.

Before the proof is sent, what is needed to hear the answer to it is kept (`Unfinished`): from then on the newcomer
may be a member without knowing it. Whoever was admitted finishes with its key alone, without a code; whoever waits for
a person's yes asks again with the same proof.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from commonhold.authority.admission import Contents, LastAnswer
from commonhold.authority.roster import Roster
from commonhold.authority.statements import Member
from commonhold.errors import CommonholdError, Refused, Unreachable, WrongCode
from commonhold.identity.certificate import Certificate
from commonhold.identity.code import AnyCode
from commonhold.identity.envelope import Envelope
from commonhold.identity.join import Candidate, Confirmation, Newcomer, Remembered, Reply, Waiting, Welcome
from commonhold.identity.keys import Key, fingerprint_of
from commonhold.names import Address, ComputerName, Fingerprint, PersonName
from commonhold.transport import Knock
from commonhold.wire import convert, from_json

BREAKS = 5  # connections in a row that may break while an answer is awaited
PAUSE = 1.0  # seconds before asking again after one broke


class Unfinished(msgspec.Struct, frozen=True):
    """A joining of which the answer is awaited: what a newcomer keeps in its home until it has joined."""

    number: int
    inviter: bytes  # the public key (SPKI) that TLS showed
    remembered: Remembered
    confirmation: Confirmation


class Joined(msgspec.Struct, frozen=True):
    """What a newcomer has become part of: everything in it is proven, except that addresses are hints."""

    network_id: str
    envelopes: tuple[Envelope, ...]
    member: Member  # this computer as the roster has it
    inviter: Fingerprint
    addresses: dict[Fingerprint, tuple[Address, ...]]


async def join(
    knock: Knock,
    key: Key,
    certificate: Certificate,
    code: AnyCode,
    *,
    computer: ComputerName,
    person: PersonName,
    keep: Callable[[Unfinished], object] = lambda unfinished: None,
    waiting: Callable[[str], object] = lambda computer: None,
) -> Joined:
    """Join through the guard at the other end of `knock`.

    `person` counts unless the invitation is bound to one. `keep` puts on the disk what `again` needs; `waiting`
    hears the name of the computer whose owner is being asked. Raises WrongCode, Conflict when a name is taken,
    Unreachable, and Refused when what answers is not what it says, or its owner says no.
    """
    newcomer = Newcomer(code, key, certificate, await knock.meet(), secrets.token_bytes)
    hello = await asyncio.to_thread(newcomer.hello)
    reply = _said(await knock.ask(f"/join/{code.number}", hello), Reply)
    confirmation = await asyncio.to_thread(newcomer.answered, reply, computer, person)
    unfinished = Unfinished(code.number, knock.server_spki, newcomer.remembered, confirmation)
    await asyncio.to_thread(keep, unfinished)
    return await _awaited(knock, key, certificate, unfinished, waiting)


async def again(
    knock: Knock,
    key: Key,
    certificate: Certificate,
    unfinished: Unfinished,
    waiting: Callable[[str], object] = lambda computer: None,
) -> Joined:
    """Finish what was begun: by the key where it was admitted, else by asking again. Raises what `join` raises."""
    if await knock.meet() != unfinished.inviter:
        raise Refused("Another computer than the one that invited answers there.", "ask for its address now")
    try:
        return await _by_key(knock, key, certificate, unfinished)
    except (Unreachable, WrongCode):  # not admitted, or not yet: TLS breaks off then
        return await _awaited(knock, key, certificate, unfinished, waiting)


async def _awaited(
    knock: Knock, key: Key, certificate: Certificate, unfinished: Unfinished, waiting: Callable[[str], object]
) -> Joined:
    """Show the proof until the last answer comes."""
    candidate, breaks, told = Candidate.again(unfinished.remembered), 0, ""
    while True:
        try:
            answer = await knock.ask(f"/join/{unfinished.number}/confirm", unfinished.confirmation)
        except (Unreachable, WrongCode) as error:
            # Perhaps admitted already, and only the answer was lost, with the inviter's memory of this talk even.
            if breaks and (joined := await _mended(knock, key, certificate, unfinished)):
                return joined
            if isinstance(error, WrongCode) or breaks >= BREAKS:
                raise
            breaks += 1
            await asyncio.sleep(PAUSE if breaks > 1 else 0)
            continue
        breaks = 0
        said: Welcome | Waiting = _said(answer, Welcome | Waiting)
        if isinstance(said, Welcome):
            contents = candidate.welcomed(said)
            return await asyncio.to_thread(_checked, contents, key, fingerprint_of(unfinished.inviter))
        if (asked := ComputerName(candidate.asked(said))) != told:
            waiting(told := asked)


async def _mended(knock: Knock, key: Key, certificate: Certificate, unfinished: Unfinished) -> Joined | None:
    try:
        return await _by_key(knock, key, certificate, unfinished)
    except CommonholdError:
        return None


async def _by_key(knock: Knock, key: Key, certificate: Certificate, unfinished: Unfinished) -> Joined:
    """The last answer, for the key that was admitted, which is shown in TLS. Raises Unreachable where it was not."""
    shown = knock.showing(key, certificate)
    try:
        answer = _said(await shown.ask("/join/again", LastAnswer(unfinished.remembered.session)), Welcome)
    finally:
        await shown.close()
    contents = Candidate.again(unfinished.remembered).welcomed(answer)
    return await asyncio.to_thread(_checked, contents, key, fingerprint_of(unfinished.inviter))


def _said(answer: object, kind: Any) -> Any:
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
