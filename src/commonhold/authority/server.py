"""Who decides in a client-server network: the server, for everybody."""

from __future__ import annotations

from commonhold.authority.authority import Subject
from commonhold.authority.keeper import Keeper
from commonhold.authority.rules import ADMINS


class ServerKeeper(Keeper):
    """The one computer with doors; its owner and the group `admins` say who may open them, and admit."""

    def capacity(self, subject: Subject) -> str:
        if subject.person == self.owner:
            return f"the owner of {self.name()}"
        admin = subject.person in self.book.groups().get(ADMINS, frozenset()) and not subject.guest
        return f"one of the admins of {self.name()}" if admin else ""

    def keeper(self) -> str:
        return f"{super().keeper()} or one of the admins"
