"""Networks made by chance, with the real authority and real shares on the disk, and somebody who tries everything.

The prober knows nothing of the graph: it holds one key, password or computer, tries to read, delete and erase each file
by every share, says rules where it is let, admits computers where it is a guard, and tries again.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from commonhold.authority import roster as rosters
from commonhold.authority.accounts import Accounts
from commonhold.authority.authority import COMPUTE, EVERY_SHARE, Door, Subject, Verb, permit
from commonhold.authority.book import RuleBook
from commonhold.authority.entrance import Entrance
from commonhold.authority.passes import Passes
from commonhold.authority.peer import PeerKeeper
from commonhold.authority.roster import Roster
from commonhold.authority.server import ServerKeeper
from commonhold.authority.sessions import Sessions
from commonhold.errors import CommonholdError, Refused
from commonhold.files.catalogue import Catalogue
from commonhold.files.counting import Counting
from commonhold.files.returning import of
from commonhold.files.served.access import Access
from commonhold.files.share import Share
from commonhold.files.shares import Shares
from commonhold.names import ComputerName, Fingerprint, NetworkName, PersonId, PersonName, ShareName, SharePath
from commonhold.node.premises import HasPassword, Lying, Premises

from ..authority.suite import computer

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
VERBS = (Verb.LIST, Verb.READ, Verb.ADD, Verb.WRITE)


class Got(NamedTuple):
    """What somebody has done, by the paths of files on the disk."""

    read: set[Path]
    destroyed: set[Path]
    gone: set[Path]


class File(NamedTuple):
    content: bytes
    places: list[tuple[Share, SharePath]]


def memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


class House:
    """One computer with doors: a real rule book, real shares in `folder`, and who decides there."""

    def __init__(self, network: Chanced, name: str, owner: PersonId, folder: Path) -> None:
        self.network, self.name, self.owner = network, name, owner
        self.fingerprint = computer(name)[0].fingerprint
        self.state = memory()
        self.book = RuleBook(self.state, lambda: network.now)
        self.shares = Shares(memory(), owner, folder.parent / "state", Catalogue(memory()))
        self.folder = folder
        self.files: dict[Path, File] = {}
        self.authority = self._authority()
        self.access = Access(self.shares, lambda: self.authority, lambda *_, **__: None, None, None)

    def _authority(self) -> PeerKeeper | ServerKeeper:
        network = self.network
        kept = (lambda: network.roster), self.book, Passes(lambda: self.authority), self.owner, self.fingerprint
        if network.roster.server is None:
            return PeerKeeper(*kept, now=lambda: network.now)
        return ServerKeeper(*kept, now=lambda: network.now, holds=network.entrance.holds)

    def begin_anew(self) -> None:
        """With the rules of the beginning, whatever was said meanwhile."""
        fresh = memory()
        self.state.backup(fresh)
        self.book = RuleBook(fresh, lambda: self.network.now)
        self.authority = self._authority()

    def furnished(self) -> None:
        """Remember which files there are, and in which shares, at which path there, each lies."""
        for file in filter(Path.is_file, self.folder.rglob("*")):
            around = [share for share in self.shares.all() if file.is_relative_to(share.root)]
            places = [(share, SharePath(file.relative_to(share.root).parts)) for share in around]
            self.files[file] = File(file.read_bytes(), places)

    def premises(self) -> Premises:
        """As its node would tell it."""
        counting, own = Counting(self.shares.all()), self.authority.who(self.fingerprint)
        while folders := counting.ahead():
            counting.look(
                [(each, permit(self.authority, own, Verb.LIST, each.share.door, each.path)) for each in folders]
            )
        accounts = [self.network.accounts.present(person) for person in self.network.roster.persons]
        return Premises(
            computer=self.fingerprint,
            owner=self.owner,
            shares=tuple(share.door for share in self.shares.all()),
            files=tuple(Lying(tuple(at), files, counting.bytes[at]) for at, files in counting.files.items()),
            rules=self.book.list(),
            groups=self.book.groups(),
            accounts=tuple(HasPassword(each.person, each.guest) for each in accounts if each),
            lends=True,
            walled=True,
        )


class Chanced:
    """A network as chance will have it: shape, persons, computers, shares, groups, rules, ends, guests, removals."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = chance = random.Random(seed)
        self.now = NOON
        self.folder = folder
        self.persons = [PersonId(f"{number + 1:032x}") for number in range(chance.randint(2, 4))]
        self.owners = {f"c{number}": chance.choice(self.persons) for number in range(chance.randint(1, 3))}
        self.owners |= {f"p{number}": person for number, person in enumerate(self.persons)}
        self.server = next(iter(self.owners)) if chance.random() < 0.5 else ""
        self.roster = self._founded()
        state = memory()
        self.accounts = Accounts(state, lambda: self.roster, lambda *_, **__: None, clock=lambda: self.now)
        self.entrance = Entrance(self.accounts, Sessions(state, lambda: self.now), lambda: self.roster)
        self.houses = [
            House(self, name, owner, folder / name)
            for name, owner in self.owners.items()
            if self.server in {"", name} and computer(name)[0].fingerprint in self.roster.members
        ]
        if self.server:
            self._open_accounts()
        for house in self.houses:
            self._furnish(house)
            house.furnished()
            self._say_rules(house)
        self.now += timedelta(minutes=self.chance.choice([0, 90]))  # some ends have come

    def _founded(self) -> Roster:
        first, owner = next(iter(self.owners.items()))
        key, certificate = computer(first)
        founding = rosters.found(
            key=key,
            certificate=certificate,
            network=NetworkName("chance"),
            shape="client-server" if self.server else "peer-to-peer",
            trusting=False,
            computer=ComputerName(first),
            person=PersonName(f"person {owner[-1]}"),
            person_id=owner,
            recovery=computer("paper")[0],
            now=NOON,
        )
        roster = Roster.of(founding.id, [founding])
        for name, person in list(self.owners.items())[1:]:
            roster = admitted(roster, first, name, person)
        leaving = self.chance.choice(list(self.owners)[1:])
        if self.chance.random() < 0.3:
            roster = roster.merged(rosters.remove(key, roster, computer(leaving)[0].fingerprint))
        self.guard = first
        return roster

    def _open_accounts(self) -> None:
        guest = PersonId("e" * 32)
        key = computer(self.guard)[0]
        self.roster = self.roster.merged(rosters.introduce(key, self.roster, guest, PersonName("gus")))
        for person in self.chance.sample(self.persons, 1):
            self.accounts.put(person, "unhashed", None)
        self.accounts.put(guest, "unhashed", NOON + timedelta(hours=self.chance.choice([1, 9])))
        self.persons.append(guest)

    def _furnish(self, house: House) -> None:
        """Shares with files, some within one another."""
        for number in range(self.chance.randint(1, 3)):
            above = [share.root for share in house.shares.all()] if self.chance.random() < 0.3 else []
            root = (self.chance.choice(above) if above else house.folder) / f"share{number}"
            for deep in ["", "été/deep"][: self.chance.randint(1, 2)]:
                (root / deep).mkdir(parents=True, exist_ok=True)
                file = root / deep / f"file {number}"
                file.write_text(f"{file}: {self.chance.random()}")
            house.shares.offer(root, ShareName(f"{house.name} {number}"))

    def _say_rules(self, house: House) -> None:
        for group in ("friends", "admins"):
            if self.chance.random() < 0.5:
                house.book.join(group, *self.chance.sample(self.persons, self.chance.randint(1, 2)))
        doors = [share.door for share in house.shares.all()]
        doors.append(Door("share", EVERY_SHARE, "every share", house.owner))
        computers = [computer(name)[0].fingerprint for name in self.owners if name != house.name]
        whom = [*self.persons, "members", "guests", "group:friends", "group:admins"]
        for _ in range(self.chance.randint(0, 7)):
            denies = self.chance.random() < 0.3
            who = self.chance.choice([*self.persons, *computers] if denies else whom)
            end = NOON + timedelta(hours=1) if self.chance.random() < 0.2 else None
            say = house.book.deny if denies else house.book.allow
            try:
                say(who, who[:9], self.chance.choice(VERBS), self.chance.choice(doors), end)
            except CommonholdError:
                continue  # what no rule can say

    def premises(self) -> list[Premises]:
        return [house.premises() for house in self.houses]

    def lying_on(self, fingerprint: Fingerprint) -> set[Path]:
        """What whoever holds that computer has in their hands."""
        return {file for house in self.houses if house.fingerprint == fingerprint for file in house.files}


def admitted(roster: Roster, guard: str, name: str, person: PersonId) -> Roster:
    known = person in roster.persons
    facts = rosters.admit(
        computer(guard)[0],
        roster,
        computer(name)[1],
        name=ComputerName(name),
        person=person,
        person_name=None if known else PersonName(f"person {person[-1]}"),
    )
    return roster.merged(facts)


class Prober:
    """Tries, with one thing in its hands, all that can be tried; afterwards everything is as it was."""

    def __init__(self, network: Chanced) -> None:
        self._network = network
        self.got = Got(set(), set(), set())

    def holding_key(self, fingerprint: Fingerprint) -> Got:
        """Of a guard's key: what it opens without admitting anybody."""
        self._try_as(fingerprint)
        return self.got

    def admitting(self) -> Got:
        """As a guard, a computer in the name of each person. The recovery key makes a guard of any computer."""
        network, roster = self._network, self._network.roster
        for person in list(roster.persons):
            name = f"new {person[-1]}"
            network.roster = admitted(network.roster, network.guard, name, person)
            self._try_as(computer(name)[0].fingerprint)
        network.roster = roster
        return self.got

    def holding_password(self, person: PersonId) -> Got:
        """The gate lets passwords to files alone: none of the desk's routes is for people."""
        account = self._network.accounts.present(person)
        subject = self._network.entrance.subject(account)
        for house in self._network.houses:
            house.begin_anew()
            self._try_files(house, subject)
        return self.got

    def _try_as(self, fingerprint: Fingerprint) -> None:
        for house in self._network.houses:
            house.begin_anew()
            subject = house.authority.who(fingerprint)
            self._try_files(house, subject)
            if self._let_in(house, subject):
                self._try_files(house, subject)

    def _let_in(self, house: House, subject: Subject) -> bool:
        """Say a rule for oneself, and take back all that stands against one."""
        try:
            permit(house.authority, subject, Verb.GOVERN, Door("compute", COMPUTE, COMPUTE, house.owner))
        except Refused:
            return False
        for rule in house.book.rules():
            if rule.effect == "deny" and rule.who in {subject.person, subject.computer}:
                house.book.remove(rule.id)
        everything = Door("share", EVERY_SHARE, "every share", house.owner)
        house.book.allow(subject.person, "me", Verb.WRITE, everything)
        return True

    def _try_files(self, house: House, subject: Subject) -> None:
        for file, (content, places) in house.files.items():
            for share, path in places:
                if file not in self.got.read and self._reads(house, subject, share, path) == content:
                    self.got.read.add(file)
                if file not in self.got.gone:
                    self._destroy(house, subject, share, path, file)

    def _reads(self, house: House, subject: Subject, share: Share, path: SharePath) -> bytes | None:
        try:
            share, given = house.access.permit_for(subject, Verb.READ, share.door.name, path)
            opened, _ = share.read(given)
        except Refused:
            return None
        with opened:
            return opened.read()

    def _destroy(self, house: House, subject: Subject, share: Share, path: SharePath, file: Path) -> None:
        """Delete it, and erase what it was; then it is put back."""
        try:
            share, given = house.access.permit_for(subject, Verb.WRITE, share.door.name, path)
            share.delete(given)
        except Refused:
            return
        assert not file.exists()
        assert _versions(share)
        self.got.destroyed.add(file)
        history = of(share.returning, "")
        with suppress(Refused):
            _, given = house.access.permit_for(subject, Verb.GOVERN, share.door.name, path)
            history.erase(given.path)
        if not _versions(share):
            self.got.gone.add(file)
        history.erase(path)
        file.write_bytes(house.files[file].content)


def _versions(share: Share) -> list[Path]:
    """What its disk keeps of what files were."""
    return [path for path in share.root.glob(".commonhold/versions/*/*") if path.exists()]
