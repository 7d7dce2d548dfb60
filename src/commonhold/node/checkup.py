"""Looks for trouble at this computer: in the running node, or on the disk when the node is down."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from msgspec.structs import replace

from commonhold.answers import Trouble
from commonhold.authority.facts import FactStore
from commonhold.authority.lines import verify
from commonhold.authority.roster import Roster
from commonhold.compute.sandbox import Kind, hindrance
from commonhold.errors import CommonholdError
from commonhold.files.catalogue import Catalogue
from commonhold.files.share import Share
from commonhold.files.shares import Shares
from commonhold.home import Home
from commonhold.identity.keys import Key
from commonhold.names import Fingerprint
from commonhold.node.background import hold
from commonhold.node.directory import Directory
from commonhold.node.guards import Guards
from commonhold.node.health import Findings, alarms, troubles
from commonhold.node.state import open_state
from commonhold.transport import Address, json_answer
from commonhold.transport.addresses import bind


class Checkup:
    """What a running node finds at itself."""

    def __init__(
        self,
        home: Home,
        directory: Directory,
        shares: Shares,
        guards: Guards,
        has_door: bool,
        confined: Callable[[], tuple[str, str, str]],
        ailing: Callable[[], tuple[str, str, str]],
    ) -> None:
        """`confined`: which sandbox holds guests here, how they give way to the owner, whether new code is there."""
        self._home, self._directory, self._shares, self._guards = home, directory, shares, guards
        self._has_door, self._confined, self._ailing = has_door, confined, ailing
        self._begun = datetime.now(UTC)

    def routes(self) -> list[web.RouteDef]:
        """For the gateway."""

        async def health(_: web.Request) -> web.Response:
            return json_answer(await self.troubles())

        return [web.get("/api/health", health)]

    def alarms(self) -> str:
        """For `status`, which may be asked often: what the roster says."""
        known = _known(self._home, self._directory.roster, self._directory.own, self._shares)
        witnessed, certificate, _ = self._ailing()
        return alarms(replace(known, witnessed=witnessed)) or certificate

    async def troubles(self) -> list[Trouble]:
        """Everything, the record too, whose lines are all read in a thread."""
        looked = await asyncio.to_thread(_looked_at, self._home, self._seen(), self._shares.all())
        return troubles(looked)

    def _seen(self) -> Findings:
        roster, settings = self._directory.roster, self._home.settings()
        witnessed, certificate, turned_away = self._ailing()
        sandbox, precedence, upgraded = self._confined()
        seen = [peer.seen for peer in self._directory.peers() if peer.seen is not None]
        return replace(
            _known(self._home, roster, self._directory.own, self._shares),
            computer=settings.computer,
            proposals=self._guards.open(),
            door=self._has_door,
            listening=tuple(str(address) for address in self._directory.listening()),
            alone=datetime.now(UTC) - max([self._begun, *seen]),
            lends=self._has_door and settings.lend.when != "never",
            sandbox=sandbox,
            precedence=precedence,
            upgraded=upgraded,
            witnessed=witnessed,
            certificate=certificate,
            turned_away=turned_away,
        )


def asleep(home: Home) -> list[Trouble]:
    """What can be seen on the disk while no node runs. Raises NotFound before `create` or `join`."""
    settings = home.settings()
    found = Findings(home=str(home), computer=settings.computer, running=False)
    offered: list[Share] = []
    try:
        with hold(home), closing(open_state(home.state)) as state:
            roster = FactStore(state, settings.network).roster
            key = Key.load(home.key)
            here = roster.members.get(key.fingerprint) or roster.removed_members[key.fingerprint]
            with closing(Catalogue(open_state(home.files))) as catalogue:
                shares = Shares(state, here.person, home.folder, catalogue)
                found, offered = _known(home, roster, key.fingerprint, shares), shares.all()
            found = replace(found, computer=settings.computer, running=False)
            if roster.server in {None, key.fingerprint}:
                found = replace(found, not_free=_not_free(settings.listen))
    except (CommonholdError, KeyError) as error:
        damage = error.sentence if isinstance(error, CommonholdError) else f"{home.key} is not the key that joined."
        found = replace(found, damage=damage)
    return troubles(_looked_at(home, found, offered))


def _known(home: Home, roster: Roster, own: Fingerprint, shares: Shares) -> Findings:
    """What the state says, of a running node or not."""
    return Findings(
        home=str(home),
        network=roster.network,
        member=own in roster.members,
        disputed=roster.alarm,
        client_server=roster.server is not None,
        members=len(roster.members),
        guards=tuple(sorted(roster.members[guard].name for guard in roster.guards)),
        missing=tuple((share.door.name, str(share.root)) for share in shares.all() if share.missing),
        closed=tuple((share.door.name, str(share.root)) for share in shares.all() if _is_closed(share.root)),
    )


def _is_closed(folder: Path) -> bool:
    """Whether it is there and this process may not look into it."""
    return folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK)


def _looked_at(home: Home, found: Findings, shares: Sequence[Share]) -> Findings:
    """With what the disk itself shows. Blocks: the record is read to its end."""
    return replace(
        found,
        record=str(home.audit),
        broken=_broken(home.audit),
        free=shutil.disk_usage(home.folder).free,
        behind=_behind(home.clock),
        links=tuple((each.door.name, link) for each in shares for link in each.links()),
        hindrance=hindrance() if found.sandbox == Kind.LIMITS else found.hindrance,
        exposed=tuple(str(path) for path in (home.folder, home.key, home.gateway_file) if _open_to_others(path)),
    )


def _behind(clock: Path) -> timedelta:
    """See authority/clock.py."""
    newest = clock.stat().st_mtime if clock.exists() else 0.0
    return timedelta(seconds=max(0.0, newest - time.time()))


def _broken(record: Path) -> str:
    breach = verify(record).broken
    if breach is None:
        return ""
    return f"Line {breach.n} of the record is not what it was: {breach.why} ({breach.file}, line {breach.line})."


def _open_to_others(path: Path) -> bool:
    """A closed folder closes what is in it: files are asked for themselves all the same, since folders get opened."""
    return path.exists() and bool(path.stat().st_mode & 0o077)


def _not_free(listen: Sequence[str]) -> str:
    """Why the node could not listen there; nothing when it could."""
    try:
        for each in bind([Address.parse(text) for text in listen]):
            each.close()
    except CommonholdError as error:
        return error.sentence
    return ""
