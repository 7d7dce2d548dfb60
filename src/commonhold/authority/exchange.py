"""How computers of one network come to know the same facts.

A new fact is pushed to all at once. Every answer carries the digest of the answering computer's
roster, so that whoever asks for anything notices a difference; then the two tell each other what
they have, and swap what is missing. Nothing that is learnt so is passed on by a push: who has not
heard finds out by the digest, and the cost for each stays flat.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web

from commonhold.authority.facts import FactStore
from commonhold.authority.proposals import Proposals
from commonhold.authority.roster import MOST_FACTS
from commonhold.authority.whereabouts import Whereabouts
from commonhold.errors import CommonholdError, NotAdmitted, Unreachable, WrongUsage
from commonhold.identity.envelope import Envelope
from commonhold.names import Fingerprint
from commonhold.transport import ROSTER_HEADER, Caller, Peer, caller_of, document, json_answer
from commonhold.wire import convert

T = TypeVar("T")
LARGEST_BODY = 16 * 2**20  # bytes of one request
LARGEST_BATCH = 8 * 2**20  # bytes of payloads in one message: base64 and JSON add a third
MOST_ADDRESSES = 8  # of one computer
AT_ONCE = 50  # computers asked at a time
PLACE = 1.0  # seconds that a silent one is counted among them
TOLD_WITHIN = 5.0  # seconds in which those must have heard of whom it is said so
ANSWERED_WITHIN = 30.0  # seconds: one that took the question and stands still holds nothing up for ever
MOST_MARKS = 2 * MOST_FACTS  # sorting the millions that fit into one request held up the loop for seconds

Mark = Annotated[str, msgspec.Meta(max_length=64)]

log = logging.getLogger(__name__)


class Swap(msgspec.Struct, frozen=True):
    """What one computer tells another. `marks`: all that it has, when it wants to know what it lacks."""

    digest: str = ""
    envelopes: tuple[Envelope, ...] = ()
    marks: Annotated[tuple[Mark, ...], msgspec.Meta(max_length=MOST_MARKS)] | None = None
    greeting: bool = False  # the answer is to carry what else there is to tell
    whereabouts: str = ""  # a digest of all addresses that are known, in greetings
    addresses: dict[str, tuple[str, ...]] = {}
    proposals: tuple[Envelope, ...] = ()  # between guards


class Told(msgspec.Struct, frozen=True):
    """The answer: what the asking computer lacks, and the marks of what this one lacks."""

    digest: str = ""
    envelopes: tuple[Envelope, ...] = ()
    wanted: tuple[str, ...] = ()
    addresses: dict[str, tuple[str, ...]] = {}
    whereabouts: str = ""
    proposals: tuple[Envelope, ...] = ()


class Pushed(msgspec.Struct, frozen=True):
    """Who has heard, and who could not be reached."""

    told: tuple[Fingerprint, ...]
    not_reached: tuple[Fingerprint, ...]


class Exchange:
    """Tells and hears facts. `hints` gives addresses to pass on, `learn` takes those of others in."""

    def __init__(
        self,
        facts: FactStore,
        proposals: Proposals,
        caller: Caller,
        peers: Callable[[], Sequence[Peer]],
        hints: Callable[[], Mapping[str, Sequence[str]]],
        learn: Callable[[dict[str, list[str]]], object],
    ) -> None:
        self._facts, self._proposals = facts, proposals
        self._caller, self._peers, self._learn = caller, peers, learn
        self._whereabouts = Whereabouts(hints)
        self._greeting: set[Fingerprint] = set()
        self._in_vain: dict[Fingerprint, tuple[str, str]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/roster", self._show), web.post("/roster", self._swap)]

    async def stamp(self, request: web.Request, response: web.StreamResponse) -> None:
        """For the listener's `on_response_prepare`: members see the digest on every answer."""
        response.headers.update(self.stamped(caller_of(request)))

    def stamped(self, caller: Fingerprint | None) -> dict[str, str]:
        """What `stamp` adds."""
        return {ROSTER_HEADER: self._facts.roster.digest} if caller in self._facts.roster.members else {}

    async def push(self, envelopes: Sequence[Envelope], also: Sequence[Peer] = ()) -> Pushed:
        """Tell all other computers at once, and `also` these, who are none of them any more.

        Who does not answer in time hears later; that is logged, not raised.
        """
        return await self._tell([*self._peers(), *also], [Swap(envelopes=batch) for batch in _batches(envelopes)])

    async def propose(self, proposal: Envelope) -> Pushed:
        """Tell the other guards what one of them wishes; who does not answer hears with the next greeting."""
        guards = [peer for peer in self._peers() if peer.fingerprint in self._facts.roster.guards]
        return await self._tell(guards, [Swap(proposals=(proposal,))])

    async def _tell(self, peers: Sequence[Peer], news: Sequence[Swap]) -> Pushed:
        places = asyncio.Semaphore(AT_ONCE)
        telling = [self._start(self._tell_one(peer, news, places)) for peer in peers]
        if telling:
            await asyncio.wait(telling, timeout=TOLD_WITHIN)
        heard = [task.done() and task.result() for task in telling]
        told = tuple(peer.fingerprint for peer, well in zip(peers, heard, strict=True) if well)
        return Pushed(told, tuple(peer.fingerprint for peer, well in zip(peers, heard, strict=True) if not well))

    async def _tell_one(self, peer: Peer, news: Sequence[Swap], places: asyncio.Semaphore) -> bool:
        """Whether it heard. One that is silent gives its place to the next before long, and is waited for beside."""
        if not peer.addresses:  # a client, or the newcomer that the news is about: they will ask
            return False
        try:
            async with places:
                asking = self._start(self._send(peer, news))
                await asyncio.wait({asking}, timeout=PLACE)
            await asking
        except CommonholdError as error:
            log.info("%s has not heard the news yet: %s", peer.name, error)
            return False
        return True

    async def _send(self, peer: Peer, news: Sequence[Swap]) -> None:
        for swap in news:
            await self._ask(peer, swap)

    def push_soon(self, envelopes: Sequence[Envelope]) -> None:
        """`push`, without waiting."""
        self._start(self.push(envelopes))

    async def greet(self, peer: Peer) -> bool:
        """Swap addresses, and what is missing on either side; whether something new was learnt here.

        Raises what asking raises.
        """
        news = self._whereabouts.news(peer.fingerprint)
        proposals = self._for(peer.fingerprint)
        told = await self._ask(
            peer, Swap(self._facts.roster.digest, greeting=True, whereabouts=news.digest, proposals=proposals)
        )
        if news.addresses and told.whereabouts != news.digest:
            await self._ask(peer, Swap(addresses=news.addresses))
        self._whereabouts.told(peer.fingerprint, news)
        self._take_addresses(told.addresses)
        self._take_proposals(peer.fingerprint, told.proposals)
        if told.digest == self._facts.roster.digest:
            return False
        told = await self._ask(peer, Swap(marks=tuple(self._facts.roster.kept)))
        wanted = set(told.wanted)
        missing = [envelope for known, envelope in self._facts.roster.kept.items() if known in wanted]
        new = await self._facts.hear(told.envelopes)
        for batch in _batches(missing):
            told = await self._ask(peer, Swap(envelopes=batch))
        self._in_vain[peer.fingerprint] = (self._facts.roster.digest, told.digest)
        return new

    def heard(self, peer: Peer, digest: str) -> None:
        """For the caller's `on_digest`: greet a computer whose roster differs, unless that was in vain before."""
        own = self._facts.roster.digest
        if digest == own or peer.fingerprint in self._greeting or self._in_vain.get(peer.fingerprint) == (own, digest):
            return
        self._greeting.add(peer.fingerprint)
        self._start(self._greet_quietly(peer))

    async def _greet_quietly(self, peer: Peer) -> None:
        try:
            await self.greet(peer)
        except CommonholdError as error:
            log.info("swapping facts with %s failed: %s", peer.name, error)
        finally:
            self._greeting.discard(peer.fingerprint)

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _ask(self, peer: Peer, swap: Swap) -> Told:
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                answer = await self._caller.ask(peer, "POST", "/roster", swap)
        except TimeoutError:
            raise Unreachable(f"{peer.name} took the question, and does not answer.") from None
        try:
            return convert(answer, Told)
        except msgspec.ValidationError as error:
            raise WrongUsage(f"{peer.name} answered something that is no roster.") from error

    async def _show(self, request: web.Request) -> web.Response:
        self._require_member(request)
        roster = self._facts.roster
        return json_answer(Told(digest=roster.digest, envelopes=roster.envelopes, addresses=self._whereabouts.all()))

    async def _swap(self, request: web.Request) -> web.Response:
        self._require_member(request)
        swap = await document(request, Swap, LARGEST_BODY)
        self._take_addresses(swap.addresses)
        await self._facts.hear(swap.envelopes)
        roster = self._facts.roster
        caller = caller_of(request)
        self._take_proposals(caller, swap.proposals)
        if swap.greeting and caller is not None:
            news = self._whereabouts.news(caller)
            self._whereabouts.told(caller, news)  # a lost answer is made up for by whoever else is greeted
            addresses = {} if news.digest == swap.whereabouts else news.addresses
            return json_answer(Told(roster.digest, (), (), addresses, news.digest, self._for(caller)))
        if swap.marks is None:
            return json_answer(Told(digest=roster.digest))
        theirs = set(swap.marks)
        lacking = [envelope for known, envelope in roster.kept.items() if known not in theirs]
        first = next(_batches(lacking), ())  # the rest follows with the next greeting: the digests still differ
        return json_answer(Told(roster.digest, first, tuple(sorted(theirs - roster.kept.keys()))))

    def _require_member(self, request: web.Request) -> None:
        if caller_of(request) not in self._facts.roster.members:
            raise NotAdmitted("Only members of the network see its roster.")

    def _for(self, asking: Fingerprint | None) -> tuple[Envelope, ...]:
        """The open proposals that fit into one message, for a guard."""
        if asking not in self._facts.roster.guards:
            return ()
        return next(_batches([proposal.envelope for proposal in self._proposals.open()]), ())

    def _take_proposals(self, teller: Fingerprint | None, proposals: Sequence[Envelope]) -> None:
        if teller in self._facts.roster.guards:
            self._proposals.hear(proposals)

    def _take_addresses(self, addresses: Mapping[str, Sequence[str]]) -> None:
        members = self._facts.roster.members
        about_members = {known: list(found[:MOST_ADDRESSES]) for known, found in addresses.items() if known in members}
        try:
            self._learn(about_members)
        except CommonholdError as error:  # hints: a bad one is no reason to refuse the facts beside it
            log.info("addresses from another computer were of no use: %s", error)


def _batches(envelopes: Sequence[Envelope]) -> Iterator[tuple[Envelope, ...]]:
    """In pieces that fit into one message; one charter alone may fill one."""
    batch: list[Envelope] = []
    size = 0
    for envelope in envelopes:
        room = len(envelope.payload) + 512  # signatures and type
        if batch and size + room > LARGEST_BATCH:
            yield tuple(batch)
            batch, size = [], 0
        batch.append(envelope)
        size += room
    if batch:
        yield tuple(batch)
