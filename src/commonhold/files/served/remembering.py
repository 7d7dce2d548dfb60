"""`/history/` and `/undo/`: what files were before, and going back (api/history.py has the whole of it)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import msgspec
from aiohttp import web

from commonhold.authority.authority import Permit, Subject, Verb
from commonhold.authority.gate import SUBJECT
from commonhold.errors import CommonholdError, WrongUsage
from commonhold.files import webdav
from commonhold.files.entry import Conditions, Entry, Placed
from commonhold.files.moving import Wish
from commonhold.files.past import HistoryPolicy, Undone
from commonhold.files.quota import Payer, QuotaLedger, Storing
from commonhold.files.returning import Foresight, Returning, of, require_person, told
from commonhold.files.served.access import Access
from commonhold.files.share import Share, Taken
from commonhold.files.versions import Deed, Policy
from commonhold.names import SharePath
from commonhold.transport.documents import document, json_answer

HISTORY, UNDO = "/history/", "/undo/"
DAYS = 36_500
Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]


class RestoreWish(msgspec.Struct, forbid_unknown_fields=True):
    """Which version is to come back: that one, or what was there at that time, or the newest; `to` is another path."""

    version: str | None = None
    at: Moment | None = None
    to: str | None = None


class UndoWish(msgspec.Struct, forbid_unknown_fields=True):
    """What to take back: what that person (who asks, unless told) did since then; without a time the last thing."""

    person: str | None = None
    since: Moment | None = None
    dry_run: bool = False


class PolicyWish(msgspec.Struct, forbid_unknown_fields=True):
    """How long, or how much, from now on; None stays as it is. "default" is what it was before anybody said."""

    days: int | Literal["default"] | None = None
    bytes: int | Literal["default"] | None = None

    def after(self, now: Policy) -> Policy:
        """What is kept from now on. Raises WrongUsage."""
        usual = Policy()
        days = usual.days if self.days == "default" else now.days if self.days is None else self.days
        most = usual.bytes if self.bytes == "default" else now.bytes if self.bytes is None else self.bytes
        if not 0 <= days <= DAYS or not 0 <= (most or 0) < 2**63:
            raise WrongUsage("A policy is a number of days and of bytes.", "--days 30 --space 50GB")
        return Policy(days, most)


class Remembering:
    """Each asks for its permit before it looks whether anything exists, or was."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def routes(self) -> list[web.RouteDef]:
        each = {"GET": self._list, "POST": self._restore, "PATCH": self._policy, "DELETE": self._erase}
        return [
            *(web.route(method, HISTORY + "{path:.*}", handler) for method, handler in each.items()),
            web.post(UNDO + "{path:.*}", self._undo),
        ]

    def _opened(self, request: web.Request, verb: Verb, root: str = HISTORY) -> tuple[Share, Permit, Returning]:
        name, path = webdav.target(request.raw_path, root)
        share, given = self._access.permit(request, verb, name, path)
        return share, given, of(share.returning, name)

    async def _list(self, request: web.Request) -> web.Response:
        _, given, returning = self._opened(request, Verb.READ)
        return json_answer(await self._access.run(returning.history, given))

    async def _restore(self, request: web.Request) -> web.Response:
        share, asked, returning = self._opened(request, Verb.WRITE)
        wish = await document(request, RestoreWish)
        row, path = await self._access.run(returning.choose, asked, wish.version, wish.at)
        if wish.to is not None:
            path = SharePath.parse(wish.to)
            path.require_portable()
        _, given = self._access.permit(request, Verb.WRITE, share.door.name, path)
        entry = await self._back(request, share, given, row, webdav.conditions(request.headers))
        self._access.record("restored", request, door=share.door.name, path=str(path), version=row.id)
        return json_answer(msgspec.structs.replace(told(row), path=entry.path))

    async def _back(
        self, request: web.Request, share: Share, given: Permit, row: Deed, conditions: Conditions
    ) -> Entry:
        """Charged to who restores, as if it were sent anew."""
        above = reversed(list(given.path.above()))
        parents = [self._access.permit(request, Verb.WRITE, share.door.name, each)[1] for each in above]
        payer, ledger, returning = self._access.payer(request[SUBJECT]), self._access.ledger, of(share.returning, "")

        def work() -> Entry:
            placing = returning.weigh(row, given.path)
            size = sum(each.size for each in placing)
            with ledger.begin_anew(payer, share.door.id, str(given.path), size, len(placing)) as storing:
                for parent in parents:
                    _made(share, parent)
                with _placing(storing, placing) as placed:
                    entry = returning.restore(given, row, conditions)
                    placed.extend(placing)
            ledger.release(share.door.id, str(given.path))  # what was there and below, and is not any more
            return entry

        return await self._access.run(work)

    async def _undo(self, request: web.Request) -> web.Response:
        share, given, returning = self._opened(request, Verb.WRITE, UNDO)
        wish = await document(request, UndoWish)
        subject: Subject = request[SUBJECT]
        require_person(subject)
        own = wish.person is None or wish.person.casefold() == subject.person_name.casefold()
        if not own:
            self._access.permit(request, Verb.GOVERN, share.door.name, given.path)
        what = wish.person or "", wish.since, given.path, subject if own else None
        answers, foreseen = [], Foresight() if wish.dry_run else None
        for row in await self._access.run(returning.deeds, *what):
            answers.append(answer := await self._take_back(request, share, row, foreseen))
            if answer.undone and not wish.dry_run:
                self._access.record("undone", request, door=share.door.name, path=row.path, what=row.why, who=row.name)
        return json_answer(answers)

    async def _take_back(self, request: web.Request, share: Share, row: Deed, foreseen: Foresight | None) -> Undone:
        """`foreseen`: only say what would come of it, after what is in it."""
        returning = of(share.returning, "")
        try:
            _, given = self._access.permit(request, Verb.WRITE, share.door.name, SharePath.parse(row.path))
            if row.origin:
                reason = await self._return(request, share, row, given, foreseen)
            elif foreseen is None and row.why == "moved":
                _, moved = self._access.permit(request, Verb.WRITE, share.door.name, SharePath.parse(row.moved_to))
                reason = await self._access.run(_move_back, share, self._access.ledger, row, moved, share, given)
            elif foreseen is not None:
                reason = await self._access.run(returning.trouble, row, foreseen)
            else:
                payer = self._access.payer(request[SUBJECT])
                reason = await self._access.run(_put_back, share, self._access.ledger, payer, row, given)
        except CommonholdError as error:
            reason = error.sentence
        return Undone(share.door.name, row.path, row.why, row.when, row.name, not reason, reason)

    async def _return(
        self, request: web.Request, share: Share, row: Deed, given: Permit, foreseen: Foresight | None
    ) -> str:
        """Why what came from another share can't go back there; empty when it has, or would."""
        store, _, path = row.origin.partition("/")
        offered = self._access.shares.all()
        home = next((each for each in offered if each.versions and each.versions.store == store), None)
        if home is None:
            return "the share that it came from is not offered any more"
        _, back = self._access.permit(request, Verb.WRITE, home.door.name, SharePath.parse(path))
        if await self._access.run(home.weigh, back.path) is not None:
            return "something else is where it was"
        if foreseen is not None:
            return await self._access.run(of(share.returning, "").trouble, row, foreseen)
        return await self._access.run(_move_back, share, self._access.ledger, row, given, home, back)

    async def _policy(self, request: web.Request) -> web.Response:
        share, given, returning = self._opened(request, Verb.GOVERN)
        if given.path.parts:
            raise WrongUsage("A policy is that of a whole share.", "write COMPUTER:SHARE")
        if request.can_read_body:
            policy = (await document(request, PolicyWish)).after(returning.versions.policy)
            await self._access.run(returning.versions.set_policy, policy)
            self._access.record("history policy", request, door=share.door.name, days=policy.days, bytes=policy.bytes)
        return json_answer(await self._access.run(_state, share))

    async def _erase(self, request: web.Request) -> web.Response:
        share, given, returning = self._opened(request, Verb.GOVERN)
        count = await self._access.run(returning.erase, given.path)
        self._access.record("history erased", request, door=share.door.name, path=str(given.path), versions=count)
        return json_answer(await self._access.run(_state, share))


def _move_back(share: Share, ledger: QuotaLedger, row: Deed, source: Permit, home: Share, target: Permit) -> str:
    """Why it could not be; else it is there, in that share or in its former one, and its payer pays for it there."""
    returning = of(share.returning, "")
    if reason := returning.trouble(row, Foresight()):
        return reason
    wish = Wish(Conditions(if_match=frozenset({share.stat(source).etag})), overwrite=False)
    what = share.door.id, str(source.path), home.door.id, str(target.path)
    with ledger.moving(*what) as placed, of(home.returning, "").versions.undoing():
        placed.extend(share.move(source, home, target, wish).placed)
    returning.versions.undone(row.id)
    return ""


def _put_back(share: Share, ledger: QuotaLedger, payer: Payer, row: Deed, given: Permit) -> str:
    """Why it could not be; else what comes back is charged to who takes it back, as what is restored is."""
    returning = of(share.returning, "")
    coming = returning.weigh_back(row, given.path)
    if not coming:
        reason, _ = returning.undo(given, row)
    else:
        size = sum(each.size for each in coming)
        with (
            ledger.begin_anew(payer, share.door.id, row.path, size, len(coming)) as storing,
            _placing(storing, coming) as placed,
        ):
            reason, back = returning.undo(given, row)
            placed.extend(coming if back else [])
    ledger.release(share.door.id, row.path)
    return reason


def _placing(storing: Storing, coming: list[Placed]) -> AbstractContextManager[list[Placed]]:
    """Charged before and after, with all that is in a folder, as a copy is."""
    top = coming[0] if coming else Placed("", 0, "")
    within = [each._replace(path=each.path[len(top.path) + 1 :]) for each in coming[1:]]
    return storing.placing(sum(each.size for each in coming), top.inode, within)


def _made(share: Share, parent: Permit) -> None:
    try:
        share.mkdir(parent)
    except Taken:
        return


def _state(share: Share) -> HistoryPolicy:
    returning = of(share.returning, share.door.name)
    most, kept, count = returning.figures()
    return HistoryPolicy(share.door.name, returning.versions.policy.days, most, kept, count)
