"""What a node answers to the commands and the Python API: the words of the product as typed records.

`--json` prints these as they are. Times are UTC. Records of files, rules and jobs stand with their parts
(`files.entry.Entry`, `authority.authority.Rule`, `compute.job`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

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


class Guest(msgspec.Struct, frozen=True):
    """Somebody's session that computes on this computer. `commands`, of its jobs, are what its hub says they are."""

    person: str
    computer: str  # from where
    commands: tuple[str, ...]  # none of one that is kept warm, or calls functions
    since: datetime
    state: Literal["running", "frozen", "ending"]


class LendingNow(LendingTerms, frozen=True, kw_only=True):
    """On which terms this computer lends, whether it does at this moment, to whom, and who computes here."""

    computer: str
    lends: bool
    reason: str = ""  # why it lends nothing now, as what is said of it: "lends only from 19:00 to 7:00"
    use: str = ""  # with `idle`: what shows that somebody uses it now
    sandbox: str = ""  # "bubblewrap" or "limits"
    precedence: str = ""  # how guests give way to the owner: "group", "class" or "share"
    people: tuple[str, ...] = ()  # whom rules let run here
    guests: tuple[Guest, ...] = ()


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
    guests: tuple[Guest, ...] = ()  # whose sessions compute here now
    sandbox: str = ""  # "bubblewrap" or "limits": what holds other people's tasks here
    shares: tuple[SharedFolder, ...] = ()
    quotas: tuple[Quota, ...] = ()  # of persons who have a limit at these doors
    invitations: tuple[OpenInvitation, ...] = ()
    proposals: tuple[GuardWish, ...] = ()  # wishes that wait for further guards
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


class GuardWish(msgspec.Struct, frozen=True):
    """A wish to change who guards, and how far it has come."""

    wish: str  # "guard add nas", "guard remove nas", "remove nas"
    done: bool
    guards: tuple[str, ...]  # who guards now
    signed: tuple[str, ...] = ()
    waiting_for: tuple[str, ...] = ()  # the guards who have not signed
    missing: int = 0  # how many of them must
    here: bool = False  # this computer is one of them
    told: tuple[str, ...] = ()
    not_reached: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What its guard has typed; nothing for several changes at once, which no command makes."""
        return f"commonhold {self.wish}" if self.wish.startswith(("guard ", "remove ")) else ""

    @property
    def agree(self) -> str:
        """What to type, and where; or whom to ask."""
        if not self.command:
            return f"no command agrees to that: ask at {', '.join(self.signed)} why it was signed"
        return f"{self.command}, typed on {' or '.join(self.waiting_for)}"


class Removal(msgspec.Struct, frozen=True):
    """Who was removed, and which computers have heard of it so far.

    `wish`: of a guard, whose removal the other guards must sign; nothing is removed before it is `done`.
    """

    computers: tuple[str, ...]
    person: str = ""
    told: tuple[str, ...] = ()
    not_reached: tuple[str, ...] = ()
    wish: GuardWish | None = None


class RecoveryDraft(msgspec.Struct, frozen=True):
    """What a recovery would do: the charter to sign, and what it says to people."""

    charter: bytes
    network: str
    computer: str
    server: bool  # this computer becomes the server, or stays it
    restarts: bool  # its node begins anew, as something else
    guards: tuple[str, ...]
    removed: tuple[str, ...] = ()  # taken out for ever
    back: tuple[str, ...] = ()  # members again
    out: tuple[str, ...] = ()  # whom only removed guards had let in, since the time given


class Recovered(msgspec.Struct, frozen=True):
    """What a recovery has done. `recovery`: the new recovery key's words, shown this once."""

    guards: tuple[str, ...]
    server: str = ""
    removed: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    out: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    not_reached: tuple[str, ...] = ()
    restarts: bool = False
    recovery: str = ""


class Trouble(msgspec.Struct, frozen=True):
    """Something that is wrong, or could be better: what, how grave, and what cures it."""

    code: str
    severity: Literal["alarm", "warning", "note"]
    title: str
    text: str
    cure: str = ""


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
    """What a person has stored at a computer's doors and has unfinished there, and may. None: nobody set a limit.

    `files` counts files and folders; `tasks` are those of the jobs.
    """

    person: str
    bytes: int
    files: int
    most_bytes: int | None = None
    most_files: int | None = None
    jobs: int = 0
    tasks: int = 0
    most_cores: int | None = None
    most_memory: int | None = None
    most_jobs: int | None = None
    most_tasks: int | None = None


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
