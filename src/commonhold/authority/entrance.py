"""How people without a computer come in, at a server's listener: by a password (Basic), or in a session (a cookie).

Whatever the reason, who does not get in hears the same: no such person, a wrong password and an account
that ended cannot be told apart.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from aiohttp import web

from commonhold.authority.accounts import Account, Accounts
from commonhold.authority.authority import Login, Standing, Subject
from commonhold.authority.roster import Roster
from commonhold.authority.sessions import LONGEST, Sessions, SignIn
from commonhold.errors import NotAdmitted, Refused
from commonhold.names import PersonId

FILES = "/dav"
PAST = ("/history/", "/undo/")
SESSION = "/session"
OWN_PASSWORD = "/account/password"  # noqa: S105 - a path
COOKIE = "__Host-commonhold"  # the prefix binds it to this very host, and to HTTPS (RFC 6265bis, 4.1.3.2)
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND"})


class Entrance:
    """Whoever comes without a certificate, at the routes that are meant for people.

    Each callback in `on_change` gets the person some of whose logins have just ended: `holds` says which.
    """

    def __init__(self, accounts: Accounts, sessions: Sessions, roster: Callable[[], Roster]) -> None:
        self.accounts, self.sessions = accounts, sessions
        self.on_change: list[Callable[[PersonId], None]] = []
        self._roster = roster
        accounts.on_change.append(self._changed)

    def _changed(self, person: PersonId) -> None:
        self.sessions.end_all(person)
        for callback in self.on_change:
            callback(person)

    @property
    def challenge(self) -> str:
        """For `WWW-Authenticate` (RFC 7617). A network's name holds neither quotes nor backslashes."""
        return f'Basic realm="{self._roster().network}", charset="UTF-8"'

    async def admit(self, request: web.Request) -> Subject | None:
        """Who asks, or None. Raises TooManyTries, and Refused for a page of another site."""
        if (header := request.headers.get("Authorization")) is not None:
            if request.method not in SAFE and "Origin" in request.headers:
                require_own_page(request)  # browsers send a password that they know along with other sites' requests
            named = credentials(header)
            account = await self.accounts.check(*named, request.remote) if named else None
            return self.subject(account) if account else None
        token = request.cookies.get(COOKIE)
        found = self.sessions.find(token) if token else None
        account = self.accounts.present(found.person) if found else None
        if found is None or account is None or account.serial != found.serial:
            return None
        if request.method not in SAFE:
            require_own_page(request)
        return self.subject(account, found)

    async def sign_in(self, name: str, password: str, remote: str | None) -> tuple[str, Subject]:
        """A new session: its token, and who. Raises NotAdmitted, TooManyTries."""
        account = await self.accounts.check(_without_domain(name), password, remote)
        if account is None:
            raise not_admitted()
        token, begun = self.sessions.begin(account)
        return token, self.subject(account, begun)

    def sign_out(self, subject: Subject) -> None:
        """End the session in which this person came."""
        if subject.login is not None and subject.person is not None:
            self.sessions.end(subject.login.session)
            for callback in self.on_change:
                callback(subject.person)

    def subject(self, account: Account, session: SignIn | None = None) -> Subject:
        return Subject(
            standing=Standing.MEMBER,
            person=account.person,
            person_name=self._roster().persons[account.person],
            guest=account.guest,
            login=Login(account.serial, session.id if session else ""),
        )

    def holds(self, subject: Subject) -> bool:
        """Whether what let this person in still would: no new password, no end, no removal, no sign-out since."""
        account = self.accounts.present(subject.person)
        if account is None or subject.login is None or account.serial != subject.login.serial:
            return False
        return not subject.login.session or self.sessions.running(subject.login.session) is not None


def for_people(request: web.Request) -> bool:
    """Whether the route that was found is one for people; the path's text the router might read differently."""
    path = _route(request)
    return path.startswith((f"{FILES}/", *PAST)) or path in {"/", FILES, SESSION, OWN_PASSWORD}


def signing_in(request: web.Request) -> bool:
    return request.method == "POST" and _route(request) == SESSION


def shows_password_box(request: web.Request) -> bool:
    """Whether a 401 asks the browser or file manager for a password. At the session's route the page asks itself."""
    return _route(request) != SESSION


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""


def not_admitted() -> NotAdmitted:
    return NotAdmitted(
        "This door opens to computers of its network, and to people with an account.",
        "ask whoever keeps this server",
    )


def require_own_page(request: web.Request) -> None:
    """Raise Refused unless the request comes from a page of this very host: browsers always say so."""
    if request.headers.get("Origin") != f"https://{request.host}":
        raise Refused("Only this server's own page may do that.")


def keep_cookie(response: web.StreamResponse, token: str) -> None:
    age = int(LONGEST.total_seconds())
    response.set_cookie(COOKIE, token, max_age=age, path="/", secure=True, httponly=True, samesite="Strict")


def drop_cookie(response: web.StreamResponse) -> None:
    response.del_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Strict")


def credentials(header: str) -> tuple[str, str] | None:
    """Name and password of an `Authorization: Basic` (RFC 7617); None for anything else."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (_without_domain(name), password) if colon else None


def _without_domain(name: str) -> str:
    r"""Windows sends `DOMAIN\ann`."""
    return name.rpartition("\\")[2]
