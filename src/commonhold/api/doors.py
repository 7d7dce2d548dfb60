"""What this computer offers, and to whom."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from commonhold.answers import Explanation, Ruling, SharedFolder
from commonhold.api.asking import Asking
from commonhold.errors import WrongUsage
from commonhold.wire import convert

T = TypeVar("T")


class Doors(Asking):
    """Shares and rules, of this computer or of another that lets us."""

    def share(
        self, folder: str | Path, name: str | None = None, to: str | None = None, verb: str | None = None
    ) -> SharedFolder:
        """Offer a folder under a name (its own, unless told), and say at once to whom. Raises Conflict, NotFound."""
        if bool(to) != bool(verb):
            raise WrongUsage("To whom and what they may do belong together.", "give both: --to WHO --verb VERB")
        body = {"folder": str(Path(folder).expanduser().absolute()), "name": name, "to": to, "verb": verb}
        return self._ask("POST", "/api/shares", body, answer=SharedFolder)

    def unshare(self, name: str) -> SharedFolder:
        """Stop to offer a folder; its files stay, its rules go. Raises NotFound."""
        return self._ask("DELETE", f"/api/shares/{quote(name, safe='')}", answer=SharedFolder)

    def allow(self, who: str, verb: str, door: str, until: datetime | None = None) -> Ruling:
        """Let a person, a group, `members` or `guests` do something at a door (`SHARE`, `compute`, `COMPUTER:DOOR`)."""
        return self._say("allow", who, verb, door, until)

    def deny(self, who: str, verb: str, door: str, until: datetime | None = None) -> Ruling:
        """Take a right back; for a person or a computer the denial also wins over wider rules."""
        return self._say("deny", who, verb, door, until)

    def rules(self, door: str | None = None) -> list[Ruling]:
        """The rules of this computer's doors, or of one door."""
        computer, name = _split_door(door or "")
        return self._desk(computer, "GET", f"/rules?{urlencode({'door': name})}", answer=list[Ruling])

    def strike(self, number: int, computer: str = "") -> Ruling:
        """Take one rule out, by its number, of this computer's or another's. Raises NotFound."""
        return self._desk(computer, "DELETE", f"/rules/{number}", answer=Ruling)

    def explain(self, who: str, verb: str, door: str) -> Explanation:
        """Whether somebody may do something at a door, and which rule says so."""
        computer, name = _split_door(door)
        query = urlencode({"who": who, "verb": verb, "door": name})
        return self._desk(computer, "GET", f"/explanation?{query}", answer=Explanation)

    def _say(self, effect: str, who: str, verb: str, door: str, until: datetime | None) -> Ruling:
        computer, name = _split_door(door)
        body = {"effect": effect, "who": who, "verb": verb, "door": name, "until": until}
        return self._desk(computer, "POST", "/rules", body, answer=Ruling)

    def _desk(self, computer: str, method: str, path: str, body: object = None, *, answer: type[T]) -> T:
        """Ask the desk of this computer, or of another that lets us."""
        if not computer:
            return self._ask(method, path, body, answer=answer)
        return convert(self._loop.run(self._ask_there(computer, method, path, body)), answer)

    async def _ask_there(self, computer: str, method: str, path: str, body: object) -> Any:
        return await self._caller.ask(await self._peer(computer), method, path, body)


def _split_door(door: str) -> tuple[str, str]:
    """`COMPUTER:DOOR` or `DOOR` -> (computer or nothing, door)."""
    computer, colon, name = door.partition(":")
    return (computer, name) if colon else ("", door)
