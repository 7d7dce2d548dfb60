"""Passes: what lets another computer touch somebody's files for them.

"Computer L may read these paths, or add to this folder, for bob's job 7 until T": given out at the door
that owns the files, on the request of whom the files are for and within their rights. The right is
asked again at every use (authority.keeper), so a pass never outlives it. Lenders of processors get a job's
files with one, and a computer gets what somebody has it copy straight from another.

Kept in memory, not on the disk: a pass is as short-lived as a task, a restarted node has cut the
transfers anyway, and forgetting is the safe side. Who asked for it asks for a new one, and goes on.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from commonhold.authority.authority import INCLUDES, Authority, Door, Subject, Verb, refusal
from commonhold.errors import Conflict, Refused, WrongUsage
from commonhold.names import Fingerprint, PersonId, SharePath

MOST_PATHS = 100_000  # that the running passes of one submitting computer may name at this door
MOST_BYTES = 2**25  # of these paths: some 330 for each
GRANTABLE = frozenset({Verb.READ, Verb.ADD, Verb.WRITE})


class Pass(msgspec.Struct, frozen=True):
    """One pass: who may use it, for what of whose, and what it opens.

    Its paths are kept as text in UTF-8: as SharePaths those of many folders take twenty times as much memory.
    """

    bearer: Fingerprint
    computer: Fingerprint  # of whoever asked for it
    person: PersonId  # who asked for it
    purpose: str  # "job 7", as sentences say it
    door: str  # Door.id
    verb: Verb
    paths: frozenset[bytes]
    folder: bytes | None
    until: datetime
    size: int  # bytes of all its paths

    def trouble(self, bearer: Subject, verb: Verb, door: Door, path: SharePath) -> str:
        """Why the pass does not open this, or nothing."""
        if bearer.computer != self.bearer:
            return "the pass was given to another computer"
        if door.id != self.door or verb not in INCLUDES[self.verb] or not self._covers(path, verb):
            return f"the pass of {self.purpose} does not cover that"
        return ""

    def serves(self, purpose: str, of: Subject) -> bool:
        """Whether that computer asked for it, for that."""
        return self.purpose == purpose and self.computer == of.computer

    def _covers(self, path: SharePath, verb: Verb) -> bool:
        text = _text(path)
        if self.folder is None:
            return text in self.paths
        within = not self.folder or text == self.folder or text.startswith(self.folder + b"/")
        # To overwrite or delete the folder itself would be an act on what holds it.
        return within and not (verb is Verb.WRITE and text == self.folder)


class Passes:
    """The passes that this computer's doors have given out."""

    def __init__(
        self, authority: Callable[[], Authority], now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._authority = authority
        self.now = now
        self._passes: dict[str, Pass] = {}
        self.on_change: list[Callable[[], None]] = []  # passes are no more

    def issue(
        self,
        subject: Subject,
        bearer: Fingerprint,
        purpose: str,
        door: Door,
        verb: Verb,
        *,
        paths: frozenset[SharePath] | SharePath,
        until: datetime,
        handed: bool = False,
    ) -> str:
        """Give out a pass; returns its id (128 random bits, 32 hexadecimal digits).

        `paths`: exactly these, or everything within one folder. `until` is an aware datetime. `handed`: the subject
        hands it to its bearer over a connection of its own, and what is returned is a token for `handed_by`. Raises
        Refused when the subject may not do that itself, WrongUsage for what no pass can say, Conflict
        when too many are running.
        """
        if subject.pass_id is not None or subject.computer is None or subject.person is None:
            raise Refused("Passes are given to a person's own computer only.")
        if verb not in GRANTABLE or until <= self.now():
            raise WrongUsage("A pass is to read, to add or to write, until a time to come.")
        decision = self._authority().decide(subject, verb, door)
        if not decision.allowed:
            raise refusal(decision, subject, verb, door)
        listed, folder = (frozenset[bytes](), _text(paths)) if isinstance(paths, SharePath) else (_texts(paths), None)
        size = sum(map(len, listed)) + len(folder or b"")
        self._require_room(subject.computer, len(listed) or 1, size)
        token = secrets.token_hex(16)
        self._passes[handed_by(subject.computer, token) if handed else token] = Pass(
            bearer, subject.computer, subject.person, purpose, door.id, verb, listed, folder, until, size
        )
        return token

    def find(self, pass_id: str) -> Pass | None:
        """The pass of that id; None when it is void, over, or never was."""
        found = self._passes.get(pass_id)
        if found is not None and self.now() >= found.until:
            del self._passes[pass_id]
            return None
        return found

    def prolong(self, purpose: str, by: Subject, until: datetime) -> int:
        """Let all passes of that purpose of this subject's computer last longer. Returns how many still run."""
        mine = [each for each, given in self._passes.items() if given.serves(purpose, by)]
        running = [each for each in mine if self.find(each)]
        for pass_id in running:
            self._passes[pass_id] = replace(self._passes[pass_id], until=until)
        return len(running)

    def void(self, purpose: str, by: Subject, bearer: Fingerprint | None = None) -> int:
        """End all passes of that purpose of this subject's computer, or only that bearer's.

        What runs under them is cut. Returns how many were running.
        """
        return self._drop(lambda given: given.serves(purpose, by) and bearer in {None, given.bearer})

    def _require_room(self, computer: Fingerprint, more: int, size: int) -> None:
        self._drop(lambda given: self.now() >= given.until)
        running = [given for given in self._passes.values() if given.computer == computer]
        if sum(len(given.paths) or 1 for given in running) + more > MOST_PATHS:
            much = f"more than {MOST_PATHS} files here"
        elif sum(given.size for given in running) + size > MOST_BYTES:
            much = f"files here by more than {MOST_BYTES} bytes"
        else:
            return
        hint = "wait until some of them are done, or cancel one"
        raise Conflict(f"The running jobs and copies of this computer name {much}.", hint)

    def _drop(self, unwanted: Callable[[Pass], bool]) -> int:
        ended = [pass_id for pass_id, given in self._passes.items() if unwanted(given)]
        for pass_id in ended:
            del self._passes[pass_id]
        if ended:
            for callback in self.on_change:
                callback()
        return len(ended)


def _text(path: SharePath) -> bytes:
    return str(path).encode()


def _texts(paths: frozenset[SharePath]) -> frozenset[bytes]:
    return frozenset(map(_text, paths))


def handed_by(computer: Fingerprint, token: str) -> str:
    """The id of the pass that this computer hands on with that token.

    Its bearer makes the id of both, since it fetches for anybody who may store there: a token that somebody else has
    got hold of, and hands to that same bearer, makes no pass.
    """
    return hashlib.sha256(f"{computer} {token}".encode()).hexdigest()[:32]
