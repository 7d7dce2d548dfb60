"""An invitation as a file, for a machine without a keyboard: a code of 256 bits, where to go, whom to expect there."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from pathlib import Path

import msgspec

from commonhold.errors import CommonholdError, Conflict, Damaged, NotFound
from commonhold.identity.code import LongCode
from commonhold.names import Address, ComputerName, Fingerprint
from commonhold.wire import from_json, to_json

LARGEST = 64 * 1024  # bytes of such a file
FORM = "commonhold invitation 1"


class Ticket(msgspec.Struct, frozen=True):
    """What the file holds. Whoever has it in its time, and is first, is in."""

    form: str
    network: str
    inviter: Fingerprint
    computer: ComputerName  # the inviter's name
    addresses: tuple[str, ...]
    code: str
    expires: datetime
    person: str = ""

    def where(self) -> tuple[Address, ...]:
        return tuple(Address.parse(text) for text in self.addresses)

    @classmethod
    def read(cls, path: Path) -> Ticket:
        """Raises NotFound where there is no file, Damaged for one that is no invitation."""
        try:
            with path.open("rb") as file:
                ticket = from_json(file.read(LARGEST), cls)
            LongCode.parse(ticket.code)
            ticket.where()
        except (FileNotFoundError, IsADirectoryError) as error:
            raise NotFound(f"There is no file {path}.", "make one: commonhold invite --file FILE") from error
        except (ValueError, CommonholdError) as error:
            raise _no_ticket(path) from error
        if ticket.form != FORM:
            raise _no_ticket(path)
        return ticket


def _no_ticket(path: Path) -> Damaged:
    return Damaged(f"{path} is no invitation of Commonhold.", "make one: commonhold invite --file FILE")


class Blank:
    """A new file for a ticket, taken before the code is drawn. A context manager: what was not filled in is removed."""

    def __init__(self, path: Path) -> None:
        """Raises Conflict where something stands already, NotFound without its folder."""
        self.path = path
        self._filled = False
        try:
            self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise Conflict(f"{path} exists already.", "name another file; nothing was replaced") from error
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"There is no folder {path.parent}.", "name a folder that exists") from error

    def fill(self, ticket: Ticket) -> None:
        """On the disk when this returns."""
        os.write(self._handle, msgspec.json.format(to_json(ticket), indent=2) + b"\n")
        os.fsync(self._handle)
        self._filled = True

    def __enter__(self) -> Blank:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)
        if not self._filled:
            with contextlib.suppress(OSError):
                self.path.unlink()
