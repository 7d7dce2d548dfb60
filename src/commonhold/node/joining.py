"""The newcomer's way in: finding the inviter, talking to it, and going on where an earlier try ended.

The note in the home (`joining.json`) is written before the proof is sent, and stays until this computer has joined or
the inviter has said no: whatever is lost between, the next `join` finishes by the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from commonhold.authority import newcomer
from commonhold.authority.newcomer import Joined, Unfinished
from commonhold.authority.ticket import Ticket
from commonhold.discovery import find_announced, find_inviter
from commonhold.errors import CommonholdError, NotFound, Unreachable, WrongCode
from commonhold.home import Home, write_private
from commonhold.identity.certificate import Certificate
from commonhold.identity.code import AnyCode, Code, LongCode, split_address
from commonhold.identity.keys import Key, fingerprint_of
from commonhold.names import Address, ComputerName, Fingerprint, PersonName
from commonhold.transport import Knock
from commonhold.wire import from_json, to_json

Say = Callable[[str], object]


class Note(msgspec.Struct, frozen=True):
    """A joining of which the answer is awaited."""

    unfinished: Unfinished
    address: str
    code: bytes  # SHA-256 of the session and the code: whether the same one is typed again


@dataclass(frozen=True)
class Way:
    """How in: a code, where to try it, and whom to expect there. Without a code only what was begun can be finished."""

    code: AnyCode | None
    where: tuple[Address, ...] = ()
    inviter: Fingerprint | None = None

    @classmethod
    def typed(cls, text: str | None) -> Way:
        """From `CODE` or `CODE@HOST:PORT`, or nothing. Raises WrongUsage."""
        if text is None:
            return cls(None)
        code, where = split_address(text)
        return cls(Code.parse(code), () if where is None else (Address.parse(where),))

    @classmethod
    def carried(cls, file: Path) -> Way:
        """From the file that `invite --file` wrote. Raises NotFound, Damaged."""
        ticket = Ticket.read(file)
        return cls(LongCode.parse(ticket.code), ticket.where(), ticket.inviter)

    async def addresses(self) -> list[Address]:
        """Where to try. Raises NotFound when nobody is found."""
        found = list(self.where)
        if not found and self.code is not None and self.inviter is None:
            found = await find_inviter(self.code.number)
        if not found:
            number = self.code.number if self.code else 0
            raise NotFound(
                f"No computer on this local network has an open invitation number {number}.",
                "ask for the address that `commonhold invite` printed: commonhold join CODE@HOST:PORT",
            )
        return found


class Joining:
    """One try of a home to join."""

    def __init__(
        self, home: Home, key: Key, certificate: Certificate, computer: ComputerName, person: PersonName, say: Say
    ) -> None:
        self._home, self._key, self._certificate = home, key, certificate
        self._computer, self._person, self._say = computer, person, say

    async def through(self, way: Way) -> tuple[Joined, Address]:
        """-> (what was told, where it was). Raises WrongCode, Refused, Conflict, NotFound, Unreachable."""
        note = self._note()
        if note is not None and (way.code is None or note.code == _digest(note.unfinished, way.code)):
            try:
                return await self._finish(note, way)
            except WrongCode:  # nothing came of it there
                self._home.joining.unlink(missing_ok=True)
        code = way.code
        if code is None:
            raise NotFound("Nothing that was begun here can be finished any more.", "ask for a new code")
        return await self._tried(await way.addresses(), way.inviter, lambda knock, at: self._begin(knock, at, code))

    async def _finish(self, note: Note, way: Way) -> tuple[Joined, Address]:
        self._say("Finishing what was begun here, with this computer's key.")
        inviter = fingerprint_of(note.unfinished.inviter)

        async def again(knock: Knock, _: Address) -> Joined:
            return await newcomer.again(knock, self._key, self._certificate, note.unfinished, self._asked)

        known = list(dict.fromkeys((Address.parse(note.address), *way.where)))
        return await self._tried(known, inviter, again)

    async def _begin(self, knock: Knock, at: Address, code: AnyCode) -> Joined:
        def keep(unfinished: Unfinished) -> None:
            note = Note(unfinished, str(at), _digest(unfinished, code))
            write_private(self._home.joining, to_json(note))

        return await newcomer.join(
            knock,
            self._key,
            self._certificate,
            code,
            computer=self._computer,
            person=self._person,
            keep=keep,
            waiting=self._asked,
        )

    async def _tried(
        self,
        addresses: Sequence[Address],
        inviter: Fingerprint | None,
        talk: Callable[[Knock, Address], Awaitable[Joined]],
    ) -> tuple[Joined, Address]:
        """The first address that answers; where none does, and the inviter's key is known, where it says it is."""
        trouble: Unreachable | None = None
        tried = list(addresses)
        for address in tried:
            knock = Knock(address)
            try:
                if inviter is not None and fingerprint_of(await knock.meet()) != inviter:
                    raise Unreachable(f"Another computer than the one that invited answers at {address}.")
                return await talk(knock, address), address
            except Unreachable as error:
                trouble = error
            except CommonholdError:
                self._home.joining.unlink(missing_ok=True)  # a plain no
                raise
            finally:
                await knock.close()
            if address == tried[-1] and inviter is not None:
                tried += [each for each in await find_announced(inviter) if each not in tried]
        raise trouble or Unreachable("Nobody answered.")

    def _asked(self, computer: str) -> None:
        self._say(f"The code is right. Waiting for {computer}'s owner to say yes …")

    def _note(self) -> Note | None:
        try:
            return from_json(self._home.joining.read_bytes(), Note)
        except (FileNotFoundError, ValueError):
            return None


def _digest(unfinished: Unfinished, code: AnyCode) -> bytes:
    return hashlib.sha256(unfinished.remembered.session + str(code).encode()).digest()
