"""What hub and lenders tell one another, and what must be handed in by the node that knows them all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, NamedTuple, Protocol

import msgspec

from commonhold.authority.authority import Subject, Verb
from commonhold.compute.environment import Environment
from commonhold.compute.job import Input, Outcome
from commonhold.errors import WrongUsage
from commonhold.names import Fingerprint, PersonId, SharePath

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"  # here: functions and packages need the same elsewhere
LARGEST = 32 * 2**20  # bytes of a request about a job: the papers of 100,000 tasks


class RemoteFile(msgspec.Struct, frozen=True):
    """A file, or a folder, behind some computer's door."""

    computer: Fingerprint
    share: str
    path: str  # parsed again by whoever uses it


class Needs(NamedTuple):
    """What the workers of a session are made with; jobs of other needs have a session of their own."""

    call_cores: int = 0  # for each call of a Python function; 0: it is for commands
    environment: Environment | None = None


class Inquiry(msgspec.Struct, frozen=True, kw_only=True):
    """POST /sessions/inquiry: the hub asks whether a lender would take part. Who says no has learnt nothing."""

    session: str  # 32 hexadecimal digits
    participant: str  # p1, p2 …
    person: PersonId
    person_name: str
    python: str  # major.minor of the hub
    call_cores: int = 0  # for each call of a Python function; 0: the session is for commands
    environment: Environment | None = None  # that the lender has before it is made an offer


class Equipped(msgspec.Struct, frozen=True):
    """POST /sessions/environment, with an Inquiry: whether its environment is unpacked at that lender.

    When it is not, it is on its way, for as long as somebody asks again.
    """

    ready: bool
    left: int = 0  # bytes still to be fetched


class Offer(Inquiry, frozen=True, kw_only=True):
    """POST /sessions: start a worker. With these papers one is part of the session, and may do there what one likes."""

    authority: str  # PEM
    certificate: str  # PEM
    key: str  # PEM
    company: tuple[PersonId, ...] = ()  # whose computers take part


class Accepted(msgspec.Struct, frozen=True):
    cores: int
    sandbox: str
    memory: int = 0  # bytes that tasks may ask for


class FunctionsWish(msgspec.Struct, frozen=True):
    """POST /functions: a person's own Python process wants to call functions on lent processors.

    The session is held for as long as the answer is read: `FunctionsPapers` first, then `FunctionsNews`, a line each.
    """

    python: str  # major.minor of that process
    on: str = "any"  # any, all, or a computer's name
    cores: int = 1  # for each call
    environment: Environment | None = None

    def check(self) -> None:
        """Raise WrongUsage for what makes no sense."""
        if not 1 <= self.cores <= 1024:
            raise WrongUsage("Each call of a function needs at least one core.")
        if self.environment is not None:
            self.environment.check()


class FunctionsNews(msgspec.Struct, frozen=True):
    """What happens in a session that a process holds: which lenders take part now, and what is to be said."""

    lenders: dict[str, str]  # participant -> computer
    note: str = ""


class FunctionsPapers(msgspec.Struct, frozen=True):
    """With these papers a process is part of the session, and may do there what it likes."""

    session: str
    participant: str  # c1, c2 …
    authority: str  # PEM
    certificate: str  # PEM
    key: str  # PEM
    lenders: dict[str, str]  # participant -> computer
    notes: tuple[str, ...] = ()  # who does not take part, and why


class Farewell(msgspec.Struct, frozen=True):
    """DELETE /sessions/S/P: how a worker's stay ended. `executing` and `stored` speak of tasks by their keys."""

    status: int = 0  # with which it ended by itself; 0 when it was ended
    executing: tuple[str, ...] = ()  # what it was doing then
    stored: dict[str, Outcome] = {}  # the last tasks whose outputs are all at their door, whoever knows of it
    why: str = ""  # its lender ended it, for what it used
    closed: str = ""  # or since it lends nothing any more: "lends only from 19:00 to 7:00"


class Rest(msgspec.Struct, frozen=True):
    """POST /sessions/S/P/rest: what a lender does with a worker, since its owner comes first.

    waiting: it goes on, and is silent only while its computer's processors are needed by others.
    leaving: its tasks are given back, and then it is ended.
    """

    state: Literal["frozen", "running", "waiting", "leaving"]
    reason: str = ""  # as what is said of the lender: "lends nothing now"
    seconds: Annotated[float, msgspec.Meta(ge=0, le=600)] = 0.0  # that it stays frozen at most


class PassPaper(msgspec.Struct, frozen=True):
    computer: Fingerprint  # the door
    share: str
    verb: Verb
    id: str


class Sources(msgspec.Struct, frozen=True):
    """Where the input of one task lies."""

    source: RemoteFile
    name: str


class JobPapers(msgspec.Struct, frozen=True):
    """POST /sessions/S/jobs/J: what the tasks of one job may touch, as far as this lender is concerned.

    The lender's node looks tasks up here; what the sandboxed process says is only their numbers.
    """

    into: RemoteFile
    passes: tuple[PassPaper, ...]
    inputs: dict[int, Sources]  # by task; those without a file are not here
    reldirs: dict[int, str]  # by task; where below `into` its outputs go, when not at its top
    command: str = ""  # for the lender's owner to see who does what
    memory: int = 0  # bytes that each task has asked for; 0: none

    def pass_for(self, file: RemoteFile, *verbs: Verb) -> str:
        """The pass for that door, or nothing."""
        found = (p.id for p in self.passes if (p.computer, p.share) == (file.computer, file.share) and p.verb in verbs)
        return next(found, "")


class Courier(Protocol):
    """Carries files between this computer and doors, under passes."""

    async def fetch(self, source: RemoteFile, pass_id: str, folder: Path, name: str) -> None:
        """Copy a remote file to `folder/name`."""
        ...

    async def store(self, file: BinaryIO, target: RemoteFile, pass_id: str) -> None:
        """Copy an open file to `target`; folders on the way are made. Reads block: not on the event loop."""
        ...


class PassDesk(Protocol):
    """Asks doors for passes, at this computer or at another."""

    async def issue(
        self,
        subject: Subject,
        computer: Fingerprint,
        lender: Fingerprint,
        job: str,
        share: str,
        verb: Verb,
        paths: list[str],
        folder: str | None,
        until: datetime,
    ) -> str:
        """The pass's id. Raises Refused when the subject has no such right there."""
        ...

    async def void(self, job: str) -> None:
        """The job is over: its passes open nothing more, wherever they were issued."""
        ...

    async def revoke(self, subject: Subject, job: str, computer: Fingerprint, lender: Fingerprint | None) -> None:
        """The job's passes for that lender (None: for all) open nothing more at the door of `computer`.

        What runs there under them is cut. Returns when that door has said so, and raises when it cannot.
        """
        ...


class JobFolders(Protocol):
    """Makes the folder of a job and offers it as the share `.job-N`, to its person only."""

    async def make(self, job: int, owner: PersonId) -> Path: ...

    async def drop(self, job: int) -> tuple[int, int]:
        """Offer it no more, and remove it with all that is in it. -> (files, their bytes).

        Raises CommonholdError when some of it cannot be removed; it may be asked again.
        """
        ...


Clock = Callable[[], datetime]


def placed(given: Input | None) -> str:
    """Where below --into the outputs of this input's task go."""
    return str(SharePath.parse(given.reldir)) if given else ""
