"""The network and who belongs to it."""

from __future__ import annotations

from urllib.parse import quote

from commonhold.answers import JoiningCode, KnownComputer, Removal, Status
from commonhold.api.asking import Asking


class Membership(Asking):
    """This computer, the others, and how computers come and go."""

    def status(self) -> Status:
        """This computer, its node, what it shares and lends."""
        return self._ask("GET", "/api/status", answer=Status)

    def members(self) -> list[KnownComputer]:
        """Every computer of the network."""
        return self._ask("GET", "/api/members", answer=list[KnownComputer])

    def invite(self, person: str | None = None, minutes: float = 10, uses: int = 1) -> JoiningCode:
        """A code to join with. `person`: whose further computer it is for. Raises Refused unless this is a guard."""
        return self._ask(
            "POST", "/api/invitations", {"person": person, "minutes": minutes, "uses": uses}, answer=JoiningCode
        )

    def remove(self, member: str) -> Removal:
        """Remove a computer, or a person with all computers, for ever. Raises Refused, NotFound."""
        return self._ask("DELETE", f"/api/members/{quote(member, safe='')}", answer=Removal)
