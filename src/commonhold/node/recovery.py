"""Putting a network right with its recovery key: a charter that the key signs makes this computer the guard.

The words never reach the node: the command asks for a draft, signs it with the key that the words are, and hands
the signed charter back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec.structs import replace

from commonhold.answers import Recovered, RecoveryDraft
from commonhold.authority.charter import KIND, LONGEST_SPKI, Charter, read, settled_so_far
from commonhold.authority.exchange import Exchange
from commonhold.authority.facts import FactStore
from commonhold.authority.roster import next_charter
from commonhold.authority.statements import member_of
from commonhold.errors import Conflict, NotFound, Refused, WrongUsage
from commonhold.identity.envelope import Envelope, sign
from commonhold.identity.keys import Key, public_key
from commonhold.names import Fingerprint
from commonhold.node.directory import Directory
from commonhold.transport import document, json_answer
from commonhold.wire import to_json

LARGEST_BODY = 16 * 2**20  # bytes: a charter of 8 MB as base64

Spki = Annotated[bytes, msgspec.Meta(max_length=LONGEST_SPKI)]


class RecoveryWish(msgspec.Struct, frozen=True):
    """POST /api/recovery/draft. `key` and `new_key` are public keys (SPKI)."""

    key: Spki
    remove: tuple[str, ...] = ()
    since: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    new_key: Spki | None = None


class Recovery:
    """Drafts the charter, and makes a signed one count."""

    def __init__(
        self, key: Key, facts: FactStore, exchange: Exchange, directory: Directory, record: Callable[..., None]
    ) -> None:
        self._key, self._facts, self._exchange = key, facts, exchange
        self._directory, self._record = directory, record
        self.telling = asyncio.Lock()  # held while others are told: a node that begins anew waits for it

    def routes(self) -> list[web.RouteDef]:
        """For the gateway."""

        async def draft(request: web.Request) -> web.Response:
            return json_answer(self.draft(await document(request, RecoveryWish)))

        async def settle(request: web.Request) -> web.Response:
            return json_answer(await self.settle(await document(request, Envelope, LARGEST_BODY)))

        return [web.post("/api/recovery/draft", draft), web.post("/api/recovery", settle)]

    def draft(self, wish: RecoveryWish) -> RecoveryDraft:
        """What the recovery key is to sign. Raises Refused (another key; this computer was removed), NotFound."""
        if wish.since is not None and not wish.remove:
            raise WrongUsage("Whose words since then are to be void?", "name the stolen guards with --remove COMPUTER")
        removed = frozenset(map(self._find, wish.remove))
        base = self._facts.as_of(wish.since, removed) if wish.since else self._facts.roster
        if wish.key != base.charter.recovery:
            raise Refused(
                f"These twelve words are not the recovery key of {base.network}.",
                "look for the paper that was written when the network was founded, or when its key was last replaced",
            )
        here = self._key.fingerprint
        if here not in base.members:
            hint = "type it on one that still belongs, or give a time before that with --since"
            raise Refused("This computer was removed from the network: it cannot become its guard.", hint)
        if here in removed:
            raise WrongUsage("A computer cannot put itself out.", "type it on a computer that stays")
        if wish.new_key is not None and public_key(wish.new_key) is None:
            raise WrongUsage("The new recovery key is none.")
        charter = next_charter(
            base,
            datetime.now(UTC),
            guards={here} if base.server else base.guards - removed | {here},
            server=here if base.server else None,
            leaving=removed & base.members.keys(),
            recovery=wish.new_key,
            settling=settled_so_far(base.charter, base.charter_id, self._facts.roster.envelopes) + 1,
        )
        return self._draft(charter, removed)

    def _draft(self, charter: Charter, removed: frozenset[Fingerprint]) -> RecoveryDraft:
        now = self._facts.roster
        staying = {member.fingerprint: str(member.name) for member in map(member_of, charter.members)}
        called = {known: str(member.name) for known, member in (now.removed_members | now.members).items()} | staying
        return RecoveryDraft(
            charter=to_json(charter),
            network=now.network,
            computer=called[self._key.fingerprint],
            server=charter.server is not None,
            restarts=charter.server != now.charter.server,
            guards=_named(called, charter.guards),
            removed=_named(called, removed),
            back=_named(called, staying.keys() - now.members.keys()),
            out=_named(called, now.members.keys() - staying.keys() - removed),
        )

    async def settle(self, envelope: Envelope) -> Recovered:
        """Make the signed draft the charter in force, and tell everybody. Raises Conflict when it does not hold."""
        charter = read(envelope)
        if charter is None or not envelope.signatures:
            raise WrongUsage("That is no charter.")
        draft = self._draft(charter, frozenset())
        # A guard's own signature too: what guards and recovery key have signed counts more than the key alone.
        own = sign(envelope.payload, KIND, [self._key])
        both = replace(envelope, signatures=(*envelope.signatures, *own.signatures))
        async with self.telling:
            return await self._tell(envelope.id, both, draft)

    async def _tell(self, charter_id: str, both: Envelope, draft: RecoveryDraft) -> Recovered:
        self._facts.add([both])
        if self._facts.roster.charter_id != charter_id:
            raise Conflict("That charter does not hold: the network has changed since it was written.", "type it again")
        number, guards = self._facts.roster.charter.number, list(draft.guards)
        self._record("recovery", by=draft.computer, number=number, guards=guards)
        pushed = await self._exchange.push([both])
        members = {known: str(member.name) for known, member in self._facts.roster.members.items()}
        return Recovered(
            guards=draft.guards,
            server=draft.computer if draft.server else "",
            restarts=draft.restarts,
            told=_named(members, pushed.told),
            not_reached=_named(members, pushed.not_reached),
        )

    def _find(self, name: str) -> Fingerprint:
        """Whom to take out: a member, or one that was removed by somebody who should not have."""
        roster = self._facts.roster
        if (member := roster.find(name)) is not None:
            return member.fingerprint
        for known, gone in roster.removed_members.items():
            if name in {known, gone.name}:
                return known
        raise NotFound(f"There is no computer “{name}” in the network {roster.network}.", "commonhold members")


def _named(called: Mapping[Fingerprint, str], computers: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(called.get(Fingerprint(each), each) for each in computers))
