"""The parts of lending and borrowing processors, joined for one node."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from sqlite3 import Connection

from aiohttp import web

from commonhold.authority.authority import Subject
from commonhold.authority.passes import Passes
from commonhold.authority.watch import Watch
from commonhold.compute import sandbox
from commonhold.compute.allowances import Allowance, Allowances
from commonhold.compute.hub.cluster import Cluster
from commonhold.compute.hub.functions import Functions
from commonhold.compute.hub.means import Patience
from commonhold.compute.hub.opening import Opening
from commonhold.compute.hub.outfitting import Outfitting
from commonhold.compute.hub.provisions import Provisions
from commonhold.compute.hub.serve import Calls, Jobs, Loans, Rests, Streams
from commonhold.compute.journal import Journal, Unended
from commonhold.compute.lender.equipment import Equipment
from commonhold.compute.lender.lend import Lending
from commonhold.compute.lender.presence import Presence
from commonhold.compute.relay import Switchboard
from commonhold.compute.wheels import Wheelhouses
from commonhold.files.shares import Shares
from commonhold.home import Home, LendingTerms, Settings
from commonhold.names import Fingerprint, PersonId
from commonhold.node.courier import DoorCourier, DoorDesk, HomeFolders
from commonhold.node.desk import Desk
from commonhold.node.directory import Directory
from commonhold.node.readings import Readings
from commonhold.transport import Caller, Peer


class Processors:
    """Lends this computer's processors, and runs jobs on others'."""

    def __init__(
        self,
        *,
        home: Home,
        settings: Settings,
        terms: Callable[[], LendingTerms],
        state: Connection,
        watch: Watch,
        passes: Passes,
        shares: Shares,
        directory: Directory,
        desk: Desk,
        caller: Caller,
        lenders: Callable[[Subject], list[Peer]],
        record: Callable[..., None],
    ) -> None:
        here = directory.own
        self.switchboard = Switchboard()
        self.kind = ""
        self._lent = home.folder / "lent"
        journal = Journal(state, _now, record)
        folders = HomeFolders(home.jobs, shares)
        folders.restore({job.job: journal.person(job.job) for job in journal.jobs()})
        self.door_desk = DoorDesk(passes, shares, caller, directory.peer, here)
        self.readings = Readings(passes, shares)
        self._equipment = Equipment(home.environments, settings.computer, shares.owner, lambda: terms().disk)
        self.allowances = Allowances(state, shares.owner, desk.authority.keeper)
        self.lending = self._lending(settings, terms, watch, directory, desk, caller, record)
        outfitting = Outfitting(self.lending, self._equipment, caller, Wheelhouses(home.wheels, shares.owner))

        def find(name: str) -> Fingerprint:
            return directory.member(name).fingerprint

        computer, sessions, patience = settings.computer, home.folder / "sessions", Patience()
        parts = self.lending, self.switchboard, caller, lenders, find, _now, patience.silence, outfitting
        opening = Opening(sessions, (computer, here), *parts)
        self.cluster = Cluster(
            sessions,
            computer,
            here,
            journal,
            watch,
            self.lending,
            opening,
            find,
            self.door_desk,
            folders,
            self.allowances,
            _now,
            patience=patience,
        )
        self.functions = Functions(settings.computer, opening, self.lending, watch)
        self.jobs = Jobs(self.cluster, shares.owner)
        self._streams = Streams(self.switchboard)
        self._rests = Rests(opening)
        self._calls = Calls(self.functions, self._streams)
        self._provisions = Provisions(outfitting, self.lending)

    def _lending(
        self,
        settings: Settings,
        terms: Callable[[], LendingTerms],
        watch: Watch,
        directory: Directory,
        desk: Desk,
        caller: Caller,
        record: Callable[..., None],
    ) -> Lending:
        return Lending(
            self._lent,
            settings.computer,
            directory.own,
            watch,
            desk.compute,
            terms,
            caller,
            directory.peer,
            DoorCourier(caller, directory.peer),
            self.switchboard,
            self.allowances,
            record,
            self._equipment,
            Presence().look,
        )

    def allow(self, person: PersonId, allowance: Allowance) -> None:
        """How much of these processors that person may have from now on."""
        self.allowances.say(person, allowance)
        self.lending.portions.look()

    def confined(self) -> tuple[str, str, str]:
        """-> (what holds other people's tasks here, how they give way, what there is to say of replaced code)."""
        return self.kind, self.lending.back_row.rank, self.lending.edition.trouble(self.lending.computer)

    def unended(self, person: PersonId) -> Unended:
        """How much of that person's waits or runs from here."""
        return self.cluster.journal.unended(person)

    def between_computers(self) -> list[web.RouteDef]:
        """For the listener: sessions, their streams, passes."""
        passes = [*self.door_desk.routes(), *self.readings.routes()]
        own = [
            *Loans(self.lending).routes(),
            *self._rests.routes(),
            *self._streams.routes(),
            *self._provisions.between_computers(),
        ]
        return [*own, *passes]

    def for_clients(self) -> list[web.RouteDef]:
        """For a server's listener: its clients' jobs and functions."""
        return [*self.jobs.routes(), *self._calls.routes(), *self._provisions.to_hub()]

    def for_own(self) -> list[web.RouteDef]:
        """For the gateway: the own person's jobs and functions."""
        return [*self.jobs.routes(), *self._calls.local(), *self._provisions.to_hub()]

    async def start(self) -> None:
        await self._equipment.start()
        await self.lending.start()
        await self.cluster.start()
        self.kind = await sandbox.here(self._lent)  # where the next node clears away what is left

    async def close(self) -> None:
        await self.functions.close()
        await self.cluster.close()
        await self.lending.close()
        await self._equipment.close()


def _now() -> datetime:
    return datetime.now(UTC)
