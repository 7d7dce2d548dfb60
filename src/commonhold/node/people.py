"""People of a server: their accounts, said by whoever governs, and what they do with them at the page.

The roster says who there is, so that a person is one person with a password, a computer, or both.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import web

from commonhold.answers import KnownPerson, Removal, SignedIn
from commonhold.authority import roster as rosters
from commonhold.authority.accounts import Account, Accounts
from commonhold.authority.authority import Authority, Door, Subject, Verb, permit
from commonhold.authority.entrance import (
    OWN_PASSWORD,
    SESSION,
    Entrance,
    drop_cookie,
    keep_cookie,
    not_admitted,
    require_own_page,
)
from commonhold.authority.facts import FactStore
from commonhold.authority.gate import SUBJECT
from commonhold.authority.sessions import Sessions
from commonhold.authority.tries import place_of
from commonhold.authority.visits import Quarters
from commonhold.errors import NotFound, Refused, WrongUsage
from commonhold.identity.keys import Key
from commonhold.names import PersonId, PersonName
from commonhold.transport import document, json_answer

LARGEST_BODY = 8 * 1024  # bytes
Until = Annotated[datetime, msgspec.Meta(tz=True)] | None


class NewAccount(msgspec.Struct, frozen=True):
    """The body of POST /persons."""

    person: str
    password: str
    until: Until = None


class NewPassword(msgspec.Struct, frozen=True):
    """The body of PUT /persons/NAME/password."""

    password: str
    until: Until = None


class SigningIn(msgspec.Struct, frozen=True):
    """The body of POST /session."""

    person: str
    password: str


class OwnPassword(msgspec.Struct, frozen=True):
    """The body of POST /account/password."""

    old: str
    new: str


class People:
    """Who there is in the network; at a server (`entrance` is there) with their accounts."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        key: Key,
        facts: FactStore,
        authority: Callable[[], Authority],
        record: Callable[..., None],
        clock: Callable[[], datetime],
    ) -> None:
        self._key, self._facts, self._authority, self._record = key, facts, authority, record
        self._clock = clock
        self._quarters = Quarters()
        self.entrance: Entrance | None = None
        if facts.roster.server == key.fingerprint:
            accounts = Accounts(connection, lambda: facts.roster, record, clock=clock)
            accounts.roster_changed(facts.roster)
            facts.on_change.append(accounts.roster_changed)
            self.entrance = Entrance(accounts, Sessions(connection, clock), lambda: facts.roster)

    def governing(self) -> list[web.RouteDef]:
        """For the listener and the gateway: whoever may admit (the authority says who)."""
        return [
            web.post("/persons", self._add),
            web.put("/persons/{name}/password", self._renew),
            web.delete("/persons/{name}", self._remove),
        ]

    def listing(self, catch_up: Callable[[], Awaitable[None]]) -> list[web.RouteDef]:
        """For the gateway; `catch_up` asks for news where none is pushed to."""

        async def persons(_: web.Request) -> web.Response:
            await catch_up()
            known = map(self._known, self._facts.roster.persons)
            return json_answer(sorted(known, key=lambda each: each.person.casefold()))

        return [web.get("/persons", persons)]

    def entering(self) -> list[web.RouteDef]:
        """For the listener of a server."""
        return [
            web.post(SESSION, self._sign_in),
            web.get(SESSION, self._who),
            web.delete(SESSION, self._sign_out),
            web.post(OWN_PASSWORD, self._own_password),
        ]

    async def watch(self) -> None:
        """Notice ends of accounts, until cancelled."""
        if self.entrance is not None:
            await self.entrance.accounts.watch()

    def close(self) -> None:
        if self.entrance is not None:
            self.entrance.accounts.close()

    def by_password(self, person: PersonId) -> Subject | None:
        """Somebody with an account, as if the password had been shown now; None without one."""
        account = self.entrance.accounts.find(person) if self.entrance is not None else None
        return self.entrance.subject(account) if self.entrance is not None and account is not None else None

    def with_account(self) -> list[Account]:
        """The accounts that let somebody in at present."""
        accounts = self.entrance.accounts if self.entrance is not None else None
        present = [accounts.present(person) for person in self._facts.roster.persons] if accounts is not None else []
        return [account for account in present if account is not None]

    def require_no_guest(self, name: str) -> None:
        """Raise Refused for a guest: guests have no computer in the network, where they would see everybody."""
        person = self._facts.roster.find_person(name)
        account = self.entrance.accounts.find(person) if self.entrance is not None else None
        if account is not None and account.guest:
            raise Refused(f"{name} is a guest, and guests have no computers.", "commonhold invite, without --person")

    # -- governing

    def _known(self, person: PersonId) -> KnownPerson:
        roster = self._facts.roster
        account = self.entrance.accounts.find(person) if self.entrance is not None else None
        return KnownPerson(
            person=roster.persons[person],
            computers=tuple(sorted(member.name for member in roster.computers_of(person))),
            account=account is not None,
            guest=account is not None and account.guest,
            until=account.until if account is not None else None,
        )

    async def _add(self, request: web.Request) -> web.Response:
        accounts = self._governed(request)
        wish = await document(request, NewAccount, LARGEST_BODY)
        name = PersonName(wish.person)
        self._require_to_come(wish.until)
        rosters.introduce(self._key, self._facts.roster, PersonId("0" * 32), name)  # a taken name costs no hash
        hashed = await accounts.hashed(wish.password, name)
        person = PersonId(secrets.token_hex(16))
        envelopes = rosters.introduce(self._key, self._facts.roster, person, name)
        self._facts.add(envelopes)
        account = accounts.put(person, hashed, wish.until)
        self._record("account", by=str(request[SUBJECT]), person=name, until=account.until)
        return json_answer(self._known(person))

    async def _renew(self, request: web.Request) -> web.Response:
        """A new password for somebody; an account, too, for a person who has a computer only."""
        accounts = self._governed(request)
        wish = await document(request, NewPassword, LARGEST_BODY)
        person, name = self._person(request)
        self._require_to_come(wish.until)
        self._require_weaker(request[SUBJECT], person, name)
        hashed = await accounts.hashed(wish.password, name)
        if person not in self._facts.roster.persons:
            raise NotFound(f"{name} was removed meanwhile.")
        before = accounts.find(person)
        if wish.until is not None and not (before and before.guest):
            raise WrongUsage(f"{name} is no guest, and the account has no end.", "leave --until out")
        accounts.put(person, hashed, wish.until or (before.until if before else None))
        self._record("password set", by=str(request[SUBJECT]), person=name)
        return json_answer(self._known(person))

    async def _remove(self, request: web.Request) -> web.Response:
        self._governed(request)
        person, name = self._person(request)
        computers = tuple(member.name for member in self._facts.roster.computers_of(person))
        envelopes = rosters.remove(self._key, self._facts.roster, person)
        self._facts.add(envelopes)
        self._record("removal", by=str(request[SUBJECT]), who=name, computers=list(computers))
        return json_answer(Removal(computers=computers, person=name))

    def _governed(self, request: web.Request) -> Accounts:
        """The accounts, for whoever may admit here. Raises Refused."""
        roster = self._facts.roster
        if roster.server is None:
            raise Refused(
                f"Accounts are a server's matter, and the network {roster.network} has no server.",
                "commonhold invite lets a person join with a computer",
            )
        if self.entrance is None:
            raise Refused("Accounts are the server's matter.", f"type it on {roster.members[roster.server].name}")
        door = Door(kind="network", id=roster.network_id, name=roster.network)
        permit(self._authority(), request[SUBJECT], Verb.ADMIT, door)
        return self.entrance.accounts

    def _person(self, request: web.Request) -> tuple[PersonId, PersonName]:
        """Whom the route names. Raises NotFound."""
        roster, name = self._facts.roster, request.match_info["name"]
        person = roster.find_person(name)
        if person is None:
            raise NotFound(f"There is nobody called “{name}” in the network {roster.network}.", "commonhold members")
        return person, roster.persons[person]

    def _require_to_come(self, until: datetime | None) -> None:
        if until is not None and until <= self._clock():
            raise WrongUsage("That end has come already.", "give a time to come, such as --until 3d")

    def _require_weaker(self, subject: Subject, person: PersonId, name: str) -> None:
        """Admins govern; with the owner's password they would also read everything."""
        server = self._facts.roster.members[self._key.fingerprint]
        if person == server.person != subject.person:
            raise Refused(f"Only {name}, whose server this is, gives that account a password.")

    # -- at the page

    async def _sign_in(self, request: web.Request) -> web.Response:
        entrance = self._require_entrance()
        if "Origin" in request.headers:
            require_own_page(request)
        wish = await document(request, SigningIn, LARGEST_BODY)
        token, subject = await entrance.sign_in(wish.person, wish.password, request.remote)
        if self._first("in", subject, request):
            self._record("signed in", person=subject.person_name, address=request.remote or "")
        answer = json_answer(self._signed_in(entrance, subject))
        keep_cookie(answer, token)
        return answer

    def _first(self, what: str, subject: Subject, request: web.Request) -> bool:
        """As doors are told of: with each line, whoever knows a password could fill the disk by signing in and out."""
        return self._quarters.first((what, subject.person, place_of(request.remote)))

    async def _who(self, request: web.Request) -> web.Response:
        return json_answer(self._signed_in(self._require_entrance(), request[SUBJECT]))

    def _signed_in(self, entrance: Entrance, subject: Subject) -> SignedIn:
        session = entrance.sessions.running(subject.login.session) if subject.login else None
        account = entrance.accounts.present(subject.person)
        ends = [each for each in (session and session.until, account and account.until) if each]
        return SignedIn(subject.person_name, subject.guest, min(ends, default=None))

    async def _sign_out(self, request: web.Request) -> web.Response:
        entrance, subject = self._require_entrance(), request[SUBJECT]
        if subject.login is not None and subject.login.session:
            entrance.sign_out(subject)
            if self._first("out", subject, request):
                self._record("signed out", person=subject.person_name)
        answer = web.Response(status=204)
        drop_cookie(answer)
        return answer

    async def _own_password(self, request: web.Request) -> web.Response:
        """With the old one; whatever it opened is over, this session too."""
        entrance, subject = self._require_entrance(), request[SUBJECT]
        wish = await document(request, OwnPassword, LARGEST_BODY)
        account = await entrance.accounts.check(subject.person_name, wish.old, request.remote)
        if account is None or account.person != subject.person:
            raise not_admitted()
        hashed = await entrance.accounts.hashed(wish.new, subject.person_name)
        if entrance.accounts.present(account.person) != account:
            raise not_admitted()
        entrance.accounts.put(account.person, hashed, account.until)
        self._record("password set", by=subject.person_name, person=subject.person_name)
        answer = web.Response(status=204)
        drop_cookie(answer)
        return answer

    def _require_entrance(self) -> Entrance:
        if self.entrance is None:
            raise NotFound("There are no accounts here.")
        return self.entrance
