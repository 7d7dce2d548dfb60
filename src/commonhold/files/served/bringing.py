"""COPY and MOVE (RFC 4918, 9.8 and 9.9), also from one share of this computer into another.

A copy needs the right to read at its source, a move the right to write there. At the target, whoever may write may
replace; whoever may only add makes new names, and for whoever may not list it is a drop-box like for uploads: every
name seems to be free.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from aiohttp import web

from commonhold.authority.authority import Permit, Verb
from commonhold.errors import Changed, Conflict, WrongUsage
from commonhold.files import multistatus, webdav
from commonhold.files.copying import Copying
from commonhold.files.entry import Conditions
from commonhold.files.moving import Brought, OtherDisk, Wish
from commonhold.files.quota import QuotaLedger, Storing
from commonhold.files.served.access import Access
from commonhold.files.served.patience import patiently
from commonhold.files.share import Share
from commonhold.names import SharePath


class _Trip(NamedTuple):
    """Which share and permit at either end, and how."""

    share: Share
    given: Permit
    to: Share
    at: Permit
    wish: Wish

    @property
    def goal(self) -> str:
        return f"{self.to.door.name}/{self.at.path}"


class Bringing:
    def __init__(self, access: Access) -> None:
        self._access = access

    async def copy(self, request: web.Request, name: str, path: SharePath) -> web.Response:
        depth = webdav.depth(request.headers.get("Depth"))
        if depth == 1:
            raise WrongUsage("A copy has Depth 0 or infinity.")
        trip = self._trip(request, name, path, Verb.READ, whole=depth is None)
        return self._answer(request, trip, await self._copied(request, trip))

    async def move(self, request: web.Request, name: str, path: SharePath) -> web.Response:
        if webdav.depth(request.headers.get("Depth")) is not None:
            raise WrongUsage("A move has Depth infinity.")
        trip = self._trip(request, name, path, Verb.WRITE, whole=True)
        try:
            if trip.wish.unseen:
                with await self._access.storing(request, trip.at, 0, unseen=True) as storing:
                    outcome = await self._access.run(_drop, trip, self._access.ledger, storing)
            else:
                outcome = await self._access.run(_move, trip, self._access.ledger)
        except OtherDisk:
            outcome = await self._moved_by_copy(request, trip)
        kind = outcome.entry.kind
        self._access.record("moved", request, door=trip.share.door.name, path=str(path), to=trip.goal, kind=kind)
        return self._answer(request, trip, outcome)

    def _trip(self, request: web.Request, name: str, path: SharePath, verb: Verb, *, whole: bool) -> _Trip:
        """Ask at both ends, the source first. Raises WrongUsage, OtherServer, Refused, NotFound."""
        to_name, to_path = webdav.destination(request.headers.get("Destination"), request.host)
        overwrite = webdav.overwrite(request.headers.get("Overwrite"))
        conditions = webdav.conditions(request.headers)
        share, given = self._access.permit(request, verb, name, path)
        if not to_name:
            raise WrongUsage("The list of shares takes no files.", "name a share")
        to, at, unseen = self._access.permit_to_store(request, to_name, to_path)
        return _Trip(share, given, to, at, Wish(conditions, overwrite, whole, unseen))

    async def _copied(self, request: web.Request, trip: _Trip) -> Brought:
        copying = await self._access.run(trip.share.copy, trip.given, trip.to, trip.at, trip.wish)
        files, unseen = copying.files, trip.wish.unseen
        storing = await self._access.storing(request, trip.at, copying.size, unseen, files)
        with self._abandoning(copying), storing:
            await self._fill(request, copying, trip)
            return await self._access.run(_place, copying, storing, self._access.ledger)

    @contextmanager
    def _abandoning(self, copying: Copying) -> Iterator[None]:
        """Whatever ends the request, nothing stays of the copy."""
        try:
            yield
        except BaseException:
            copying.stop()
            self._access.slow_threads.submit(copying.abort)
            raise

    async def _fill(self, request: web.Request, copying: Copying, trip: _Trip) -> None:
        """Copy, then ask again: that may outlast a right."""
        await patiently(request, self._access.slow_threads.submit(copying.fill))
        for permit in (trip.given, trip.at):
            self._access.permit(request, permit.verb, permit.door.name, permit.path)

    async def _moved_by_copy(self, request: web.Request, trip: _Trip) -> Brought:
        """Across disks: copied whole, then deleted where it was, if nobody changed it meanwhile."""
        copying = await self._access.run(_begin_move, trip)
        with self._abandoning(copying):
            await self._fill(request, copying, trip)
            exchanging = self._access.slow_threads.submit(_exchange, copying, trip, self._access.ledger)
            return await patiently(request, exchanging)

    def _answer(self, request: web.Request, trip: _Trip, outcome: Brought) -> web.Response:
        if not outcome.created:
            entry = outcome.entry
            where = {"door": trip.to.door.name, "path": str(trip.at.path)}
            self._access.record("overwritten", request, **where, size=entry.size)
        if outcome.failed:
            failed = ((webdav.href(trip.share.door.name, str(path)), error) for path, error in outcome.failed)
            body = multistatus.failures(failed)
            return web.Response(status=207, body=body, content_type="application/xml", charset="utf-8")
        return web.Response(status=201 if outcome.created else 204)


def _place(copying: Copying, storing: Storing, ledger: QuotaLedger) -> Brought:
    """Charged before and after, as an upload is."""
    top, *within = sorted(copying.copied)
    with storing.placing(sum(each.size for each in copying.copied), top.inode, within) as placed:
        outcome = copying.commit()
        placed.extend(outcome.made)
        placed.extend(outcome.placed if storing.payer.person is not None else outcome.placed[:1])
    if not outcome.created:
        ledger.release(storing.share, storing.path)
    return outcome


def _move(trip: _Trip, ledger: QuotaLedger) -> Brought:
    what = trip.share.door.id, str(trip.given.path), trip.to.door.id, str(trip.at.path)
    with ledger.moving(*what) as placed:
        outcome = trip.share.move(trip.given, trip.to, trip.at, trip.wish)
        placed.extend(outcome.placed)
        return outcome


def _drop(trip: _Trip, ledger: QuotaLedger, storing: Storing) -> Brought:
    """As `_move`; the folders that are made on the way are charged to who moves."""
    with storing.placing(0) as placed:
        outcome = _move(trip, ledger)
        placed.extend(outcome.made)
        return outcome


def _begin_move(trip: _Trip) -> Copying:
    return trip.share.copy(trip.given, trip.to, trip.at, trip.wish, complete=True)


def _exchange(copying: Copying, trip: _Trip, ledger: QuotaLedger) -> Brought:
    what = trip.share.door.id, str(trip.given.path), trip.to.door.id, str(trip.at.path)
    with ledger.moving(*what) as placed:
        outcome = copying.commit()
        placed.extend(outcome.placed)
    try:
        trip.share.delete(trip.given, Conditions(if_match=frozenset({copying.entry.etag})))
    except Changed as error:
        raise Conflict(f"“{trip.given.path}” was changed while it was copied: it is there still.") from error
    return outcome
