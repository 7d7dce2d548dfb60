"""Passes: what lets a lender touch a job's files.

"Computer L may read these paths, or add to this folder, for job J until T": given out at the door
that owns the files, on the submitter's request and within the submitter's rights. The right is
asked again at every use (authority.keeper), so a pass never outlives it.

Kept in memory, not on the disk: a pass is as short-lived as a task, a restarted node has cut the
transfers anyway, and forgetting is the safe side. The submitter's node asks for a new one when it
gives the task out again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from commonhold.authority.authority import INCLUDES, Authority, Door, Subject, Verb, refusal
from commonhold.errors import Conflict, Refused, WrongUsage
from commonhold.names import Fingerprint, PersonId, SharePath

MOST_PATHS = 100_000  # that the running passes of one submitting computer may name at this door
GRANTABLE = frozenset({Verb.READ, Verb.ADD, Verb.WRITE})


class Pass(msgspec.Struct, frozen=True):
    """One pass: who may use it, for which job of whom, and what it opens."""

    lender: Fingerprint
    computer: Fingerprint  # the submitter's
    person: PersonId  # the submitter
    job: str
    door: str  # Door.id
    verb: Verb
    paths: frozenset[SharePath]
    folder: SharePath | None
    until: datetime

    def trouble(self, lender: Subject, verb: Verb, door: Door, path: SharePath) -> str:
        """Why the pass does not open this, or nothing."""
        if lender.computer != self.lender:
            return "the pass was given to another computer"
        if door.id != self.door or verb not in INCLUDES[self.verb] or not self._covers(path, verb):
            return f"the pass of job {self.job} does not cover that"
        return ""

    def _covers(self, path: SharePath, verb: Verb) -> bool:
        if self.folder is None:
            return path in self.paths
        # To overwrite or delete the folder itself would be an act on what holds it.
        return path.within(self.folder) and not (verb is Verb.WRITE and path == self.folder)


class Passes:
    """The passes that this computer's doors have given out."""

    def __init__(
        self, authority: Callable[[], Authority], now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._authority = authority
        self._now = now
        self._passes: dict[str, Pass] = {}
        self.on_change: list[Callable[[], None]] = []  # passes are no more

    def issue(
        self,
        subject: Subject,
        lender: Fingerprint,
        job: str,
        door: Door,
        verb: Verb,
        *,
        paths: frozenset[SharePath] | SharePath,
        until: datetime,
    ) -> str:
        """Give out a pass; returns its id (128 random bits, 32 hexadecimal digits).

        `paths`: exactly these, or everything within one folder. `until` is an aware datetime. Raises
        Refused when the submitter may not do that, WrongUsage for what no pass can say, Conflict
        when too many are running.
        """
        if subject.pass_id is not None or subject.computer is None or subject.person is None:
            raise Refused("Only the computer of a job's submitter is given passes.")
        if verb not in GRANTABLE or until <= self._now():
            raise WrongUsage("A pass is to read, to add or to write, until a time to come.")
        decision = self._authority().decide(subject, verb, door)
        if not decision.allowed:
            raise refusal(decision, subject, verb, door)
        listed, folder = (frozenset[SharePath](), paths) if isinstance(paths, SharePath) else (paths, None)
        self._require_room(subject.computer, len(listed) or 1)
        pass_id = secrets.token_hex(16)
        self._passes[pass_id] = Pass(
            lender, subject.computer, subject.person, job, door.id, verb, listed, folder, until
        )
        return pass_id

    def find(self, pass_id: str) -> Pass | None:
        """The pass of that id; None when it is void, over, or never was."""
        found = self._passes.get(pass_id)
        if found is not None and self._now() >= found.until:
            del self._passes[pass_id]
            return None
        return found

    def void(self, job: str, by: Subject, lender: Fingerprint | None = None) -> int:
        """End all passes of that job of this submitter's computer, or only that lender's.

        What runs under them is cut. Returns how many were running.
        """
        return self._drop(
            lambda given: given.job == job and given.computer == by.computer and lender in {None, given.lender}
        )

    def _require_room(self, computer: Fingerprint, more: int) -> None:
        self._drop(lambda given: self._now() >= given.until)
        running = sum(len(given.paths) or 1 for given in self._passes.values() if given.computer == computer)
        if running + more > MOST_PATHS:
            raise Conflict(
                f"The running jobs of this computer name more than {MOST_PATHS} files here.",
                "wait until some of them are done, or cancel one",
            )

    def _drop(self, unwanted: Callable[[Pass], bool]) -> int:
        ended = [pass_id for pass_id, given in self._passes.items() if unwanted(given)]
        for pass_id in ended:
            del self._passes[pass_id]
        if ended:
            for callback in self.on_change:
                callback()
        return len(ended)
