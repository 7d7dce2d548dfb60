"""What a node answers to the commands and the Python API: the words of the product as typed records.

`--json` prints these as they are. Times are UTC. Records of files, rules and jobs stand with their parts
(`files.entry.Entry`, `authority.authority.Rule`, `compute.job`).
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from commonhold.home import LendingTerms
from commonhold.identity.certificate import Certificate
from commonhold.names import Fingerprint
from commonhold.transport import Address, Peer


class KnownComputer(msgspec.Struct, frozen=True):
    """One computer of the network."""

    computer: str
    person: str
    role: str  # "peer", "server" or "client"
    guard: bool
    words: str  # the fingerprint as four words, to compare by eye
    fingerprint: str
    addresses: tuple[str, ...] = ()
    seen: datetime | None = None  # when it last answered this computer
    here: bool = False  # this very computer


class SharedFolder(msgspec.Struct, frozen=True):
    """A folder offered under a name."""

    share: str
    folder: str
    missing: bool = False  # the folder is not there at present
    rules: tuple[str, ...] = ()


class OpenInvitation(msgspec.Struct, frozen=True):
    """An invitation that is open; `uses` and `tries` are what is left. Its code is told once, when it is drawn."""

    number: int
    uses: int
    tries: int
    expires: datetime
    person: str = ""
    asks: bool = False  # whether the inviter is asked about each newcomer


class Status(msgspec.Struct, frozen=True):
    """This computer and its node."""

    network: str
    network_id: str
    shape: str
    trusting: bool
    computer: str
    person: str
    role: str
    words: str
    fingerprint: str
    running: bool
    version: str
    members: int = 0
    listener: tuple[str, ...] = ()
    gateway: str = ""
    pid: int = 0
    jobs_at: str = ""  # the computer whose node runs this person's jobs
    lend: LendingTerms = LendingTerms()
    sandbox: str = ""  # "bubblewrap" or "limits": what holds other people's tasks here
    shares: tuple[SharedFolder, ...] = ()
    invitations: tuple[OpenInvitation, ...] = ()
    alarm: str = ""


class JoiningCode(msgspec.Struct, frozen=True):
    """A code to join with."""

    code: str
    expires: datetime
    uses: int
    addresses: tuple[str, ...]
    person: str = ""
    number: int = 0  # the code's, which is no secret


class JoiningFile(msgspec.Struct, frozen=True):
    """A file to join with."""

    file: str
    number: int
    expires: datetime
    addresses: tuple[str, ...]
    person: str = ""


class Removal(msgspec.Struct, frozen=True):
    """Who was removed, and which computers have heard of it so far."""

    computers: tuple[str, ...]
    person: str = ""
    told: tuple[str, ...] = ()
    not_reached: tuple[str, ...] = ()


class Ruling(msgspec.Struct, frozen=True):
    """One rule as people read it, or what saying one did (`done`)."""

    who: str
    verb: str
    door: str
    effect: str
    rule: str
    until: datetime | None = None
    done: str = ""
    number: int = 0  # of a rule in the book; never used again


class Group(msgspec.Struct, frozen=True):
    """A name for some persons, that rules can speak of; after a change, the rules that ended with the group."""

    group: str
    persons: tuple[str, ...]
    ended: tuple[str, ...] = ()


class Quota(msgspec.Struct, frozen=True):
    """What a person has stored at a computer's doors, and may; `files` counts files and folders, None is no limit."""

    person: str
    bytes: int
    files: int
    most_bytes: int | None = None
    most_files: int | None = None


class Explanation(msgspec.Struct, frozen=True):
    """Who may, and why."""

    who: str
    verb: str
    door: str
    allowed: bool
    reason: str
    rule: str | None = None
    hint: str = ""


class Place(msgspec.Struct, frozen=True):
    """Where a computer is and whom to expect there: all that the node says about a transfer."""

    computer: str
    fingerprint: str
    certificate: bytes  # DER
    addresses: tuple[str, ...]
    seen: datetime | None = None
    shares: bool = True  # a client of a server has no door

    def peer(self) -> Peer:
        return Peer(
            name=self.computer,
            fingerprint=Fingerprint(self.fingerprint),
            certificate=Certificate.parse(self.certificate),
            addresses=tuple(Address.parse(address) for address in self.addresses),
            seen=self.seen,
        )


class KnownPerson(msgspec.Struct, frozen=True):
    """One person of the network. `account` and what follows is known at the server only."""

    person: str
    computers: tuple[str, ...] = ()
    account: bool = False
    guest: bool = False
    until: datetime | None = None  # the end of a guest's account


class SignedIn(msgspec.Struct, frozen=True):
    """Whom a server takes somebody for, and until when without signing in again."""

    person: str
    guest: bool
    until: datetime | None = None
