"""Who guards: further guards, guards that leave, and what other guards wish.

A new charter takes the signatures of a majority of the guards. One that has too few is a proposal: the others are
told, and each agrees by typing the same command on its own computer.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from aiohttp import web

from commonhold.answers import GuardWish
from commonhold.authority import roster as rosters
from commonhold.authority.authority import Authority, Door, Subject, Verb, permit
from commonhold.authority.exchange import Exchange
from commonhold.authority.proposals import Proposal, Proposals, missing
from commonhold.authority.roster import Roster
from commonhold.authority.statements import Member
from commonhold.errors import Conflict
from commonhold.identity.keys import Key
from commonhold.names import Fingerprint
from commonhold.node.directory import Directory
from commonhold.transport import json_answer


class Guards:
    """Changes who guards, for the owner of a guard and nobody else."""

    def __init__(
        self,
        key: Key,
        proposals: Proposals,
        exchange: Exchange,
        directory: Directory,
        authority: Authority,
        record: Callable[..., None],
    ) -> None:
        self._key, self._facts, self._proposals = key, directory.facts, proposals
        self._exchange, self._directory, self._authority, self._record = exchange, directory, authority, record

    def permit(self) -> None:
        """Raise Refused unless this computer is a guard, and its owner is who acts here."""
        roster = self._facts.roster
        rosters.require_guard(self._key, roster)
        door = Door(kind="network", id=roster.network_id, name=roster.network)
        permit(self._authority, self._subject(), Verb.ADMIT, door)

    def _subject(self) -> Subject:
        return self._authority.who(self._key.fingerprint)

    def routes(self) -> list[web.RouteDef]:
        """For the gateway."""

        async def add(request: web.Request) -> web.Response:
            return json_answer(await self.add(request.match_info["computer"]))

        async def remove(request: web.Request) -> web.Response:
            return json_answer(await self.remove(request.match_info["computer"]))

        return [web.put("/api/guards/{computer}", add), web.delete("/api/guards/{computer}", remove)]

    async def add(self, name: str) -> GuardWish:
        """Make a member a guard. Raises NotFound, Conflict (it is one already; a server is the one guard)."""
        roster, member = self._asked(name)
        if member.fingerprint in roster.guards:
            raise Conflict(f"{member.name} is a guard already.", "commonhold members")
        return await self._wish(f"guard add {shlex.quote(member.name)}", roster.guards | {member.fingerprint})

    async def remove(self, name: str) -> GuardWish:
        """Let a guard be none any more; it stays a member. Raises NotFound, Conflict (it is none, or the last)."""
        roster, member = self._asked(name)
        if member.fingerprint not in roster.guards:
            raise Conflict(f"{member.name} is no guard.", f"the guards are {_listed(roster, roster.guards)}")
        return await self._wish(f"guard remove {shlex.quote(member.name)}", self._without(roster, member))

    async def leave(self, name: str) -> GuardWish:
        """Take a guard's computer out of the network, for ever. Raises as `remove` does."""
        roster, member = self._asked(name)
        return await self._wish(
            f"remove {shlex.quote(member.name)}", self._without(roster, member), {member.fingerprint}
        )

    def open(self) -> tuple[GuardWish, ...]:
        """What guards wish, and others have not agreed to yet; of two charters of one wish the one that is nearer."""
        found: dict[str, GuardWish] = {}
        for proposal in self._proposals.open():
            wish = self._so_far(_wish_of(self._facts.roster, proposal), proposal.signed)
            if wish.wish not in found or wish.missing < found[wish.wish].missing:
                found[wish.wish] = wish
        return tuple(found.values())

    def _asked(self, name: str) -> tuple[Roster, Member]:
        """What every wish asks first. -> (the roster, whom the name means)."""
        self.permit()
        roster = self._facts.roster
        if roster.alarm:
            raise Conflict(f"{roster.alarm} Until that is settled nobody changes who guards.", "commonhold recover")
        member = self._directory.member(name)
        if roster.server is not None:
            raise Conflict(
                f"In client-server the server {roster.members[roster.server].name} is the one guard.",
                "when it is lost, another computer becomes the server: commonhold recover, typed there",
            )
        return roster, member

    def _without(self, roster: Roster, member: Member) -> frozenset[Fingerprint]:
        if roster.guards == {member.fingerprint}:
            raise Conflict(
                f"{member.name} is the last guard: without one nobody is admitted or removed.",
                "make another computer guard first: commonhold guard add COMPUTER",
            )
        return roster.guards - {member.fingerprint}

    async def _wish(
        self, wish: str, guards: Collection[Fingerprint], leaving: Collection[Fingerprint] = ()
    ) -> GuardWish:
        before = self._facts.roster
        gone = [self._directory.peer_of(before.members[each]) for each in leaving]
        charter = rosters.next_charter(before, datetime.now(UTC), guards=guards, leaving=leaving)
        envelope, enough = self._proposals.wish(self._key, charter)
        self._record("charter signed", by=str(self._subject()), wish=wish, number=charter.number)
        pushed = await (self._exchange.push([envelope], also=gone) if enough else self._exchange.propose(envelope))
        signers = frozenset(Fingerprint(signature.keyid) for signature in envelope.signatures)
        members = {**before.members, **self._facts.roster.members}
        return GuardWish(
            wish=wish,
            done=enough,
            guards=_names(self._facts.roster, self._facts.roster.guards),
            signed=_names(before, signers),
            waiting_for=() if enough else _names(before, before.guards - signers),
            missing=max(0, missing(before, signers)),
            told=tuple(members[each].name for each in pushed.told),
            not_reached=tuple(members[each].name for each in pushed.not_reached),
        )

    def _so_far(self, wish: str, signed: frozenset[Fingerprint]) -> GuardWish:
        roster = self._facts.roster
        waiting = roster.guards - signed
        return GuardWish(
            wish=wish,
            done=False,
            guards=_names(roster, roster.guards),
            signed=_names(roster, signed),
            waiting_for=_names(roster, waiting),
            missing=missing(roster, signed),
            here=self._key.fingerprint in waiting,
        )


def _wish_of(roster: Roster, proposal: Proposal) -> str:
    """What a proposal's guard has typed; another change than a command makes cannot be agreed to by one."""
    leaving = proposal.gone - roster.gone
    added, removed = proposal.guards - roster.guards, roster.guards - proposal.guards - leaving
    for verb, whom in (("remove", leaving), ("guard add", added), ("guard remove", removed)):
        if len(whom) == 1 and len(leaving | added | removed) == 1:
            known = roster.members.get(Fingerprint(next(iter(whom))))
            return f"{verb} {shlex.quote(known.name if known else next(iter(whom)))}"
    return f"make guards of {_listed(roster, [Fingerprint(each) for each in proposal.guards])}"


def _names(roster: Roster, computers: Collection[Fingerprint]) -> tuple[str, ...]:
    return tuple(sorted(roster.members[each].name if each in roster.members else each for each in computers))


def _listed(roster: Roster, computers: Collection[Fingerprint]) -> str:
    return ", ".join(_names(roster, computers))
