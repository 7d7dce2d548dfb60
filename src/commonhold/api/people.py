"""People of the network, and their accounts at its server."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

from commonhold.answers import KnownComputer, KnownPerson, Removal
from commonhold.api.asking import Asking
from commonhold.wire import convert

T = TypeVar("T")


class Persons(Asking):
    """Persons; on a server, or on a computer of somebody who governs one, also their accounts."""

    def persons(self) -> list[KnownPerson]:
        """Every person of the network. Accounts and their ends are known at the server only."""
        return self._ask("GET", "/persons", answer=list[KnownPerson])

    def add_person(self, person: str, password: str, until: datetime | None = None) -> KnownPerson:
        """An account for a new person; with an end, a guest's. Raises Conflict, Refused where there is no server."""
        body = {"person": person, "password": password, "until": until}
        return self._ask_server("POST", "/persons", body, answer=KnownPerson)

    def set_password(self, person: str, password: str, until: datetime | None = None) -> KnownPerson:
        """A new password, or a first one; for a guest also a new end. What the old one opened ends. Raises NotFound."""
        path = f"/persons/{quote(person, safe='')}/password"
        return self._ask_server("PUT", path, {"password": password, "until": until}, answer=KnownPerson)

    def remove_person(self, person: str) -> Removal:
        """Remove a person with all computers and the account, for ever. Raises NotFound, Refused."""
        return self._ask_server("DELETE", f"/persons/{quote(person, safe='')}", answer=Removal)

    def _ask_server(self, method: str, path: str, body: object = None, *, answer: type[T]) -> T:
        """This computer's node, or that of the server of which it is a client."""
        return convert(self._loop.run(self._answer_of_server(method, path, body)), answer)

    async def _answer_of_server(self, method: str, path: str, body: object) -> Any:
        members = convert(await self._node.ask("GET", "/api/members"), list[KnownComputer])
        server = next((member for member in members if member.role == "server" and not member.here), None)
        if server is None:
            return await self._node.ask(method, path, body)
        return await self._caller.ask(await self._peer(server.computer), method, path, body)
