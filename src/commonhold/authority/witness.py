"""Heads of records, witnessed: whoever rewrites a record must also unmake what others have seen of it.

Each computer tells the guards (in client-server: the server) the hashes of its record's new lines, now
and then; the guard keeps them, signs them, and the computer keeps the signed statement beside
its record. A computer whose record does not begin as it did is reported: an alarm. The hash of every line
is told, and not of the last alone (32 bytes each), so that `audit verify` names the first false line.

What was not told yet can still be changed: ten minutes' lines, or those of a computer that
met no guard. A sole guard of a peer-to-peer network has nobody who witnesses for it.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from aiohttp import web

from commonhold.authority.facts import FactStore
from commonhold.authority.lines import BEFORE_ALL, Sight, finished
from commonhold.authority.roster import Roster
from commonhold.errors import Conflict, NotAdmitted, Refused
from commonhold.identity.envelope import Envelope, sign, signers
from commonhold.identity.keys import Key
from commonhold.names import Fingerprint
from commonhold.transport import caller_of, document, json_answer
from commonhold.wire import from_json, to_json

KIND = "application/vnd.commonhold.head+json"
MOST_LINES = 2_000  # of one telling
KEPT = 6 * 2**20  # bytes of one computer's hashes: 200,000 lines; the oldest are forgotten first
ROW = 640  # bytes that a row counts for beside its hashes: 10,000 rows at most
TIDY_EVERY = 64  # rows of one computer
SHOWN = 5_000  # lines of one answer
REPORTED = 30 * 86400.0  # seconds for which a rewritten record is an alarm
ONCE = 3600.0  # seconds between two reports of one computer
ADDRESS = "/witness"

LineHash = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]

_TABLES = """
CREATE TABLE IF NOT EXISTS head (
    id INTEGER PRIMARY KEY AUTOINCREMENT, computer TEXT NOT NULL,
    after INTEGER NOT NULL, lines BLOB NOT NULL,  -- the hashes of the lines after that number, 32 bytes each
    time REAL NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS head_computer ON head (computer, id);
CREATE TABLE IF NOT EXISTS rewritten (computer TEXT NOT NULL, reason TEXT NOT NULL, time REAL NOT NULL) STRICT;
"""


class Telling(msgspec.Struct, frozen=True):
    """What a computer says of its record. `at` is the hash of line `after`; nothing when it has no such line."""

    after: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    at: LineHash | None
    lines: Annotated[tuple[LineHash, ...], msgspec.Meta(max_length=MOST_LINES)]


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a guard signs: at that time this computer's record had these lines after that number."""

    network: str
    computer: str
    after: int
    lines: tuple[LineHash, ...]
    time: datetime


class Sighting(msgspec.Struct, frozen=True):
    """The same as a guard tells it again, or as this computer kept it. `id` is the guard's, for asking on."""

    after: int
    lines: tuple[str, ...]
    by: str
    time: datetime
    id: int = 0


class Witness:
    """A guard's side: what it has seen of other computers' records."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        key: Key,
        facts: FactStore,
        record: Callable[..., object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection, self._key, self._facts, self._record, self._clock = connection, key, facts, record, clock
        self._since: Counter[Fingerprint] = Counter()  # rows since each computer's were tidied
        connection.executescript(_TABLES)

    def routes(self) -> list[web.RouteDef]:
        return [web.post(ADDRESS, self._hear), web.get(ADDRESS, self._show)]

    def alarms(self) -> tuple[str, ...]:
        """Sentences about members whose record was rewritten in the last thirty days."""
        since = self._clock() - REPORTED
        rows = self._connection.execute("SELECT computer, reason FROM rewritten WHERE time > ? ORDER BY time", (since,))
        members = self._facts.roster.members
        return tuple(f"{members[each].name}: {reason}" for each, reason in rows.fetchall() if each in members)

    def take(self, computer: Fingerprint, telling: Telling) -> Envelope:
        """Keep it and sign it. Raises Conflict with the `number` after which this guard wants to be told."""
        number, known = self._newest(computer)
        if telling.after != number:
            raise Conflict("Tell me from another line on.", number=number)
        if telling.at != known:
            self._report(computer, number, missing=telling.at is None)
            self._keep(computer, 0, b"")  # from here on it is another record, which is witnessed from its beginning
            raise Conflict("That is not the record that I have seen.", number=0)
        if telling.lines:
            self._keep(computer, number, bytes.fromhex("".join(telling.lines)))
        now = datetime.fromtimestamp(self._clock(), UTC)
        head = Head(self._facts.network_id, computer, number, telling.lines, now)
        return sign(to_json(head), KIND, [self._key])

    def sightings(self, computer: Fingerprint, beyond: int = 0) -> list[Sighting]:
        """What was seen of that computer's record, from the row after `beyond` on; not all at once."""
        roster = self._facts.roster
        own = roster.members[self._key.fingerprint].name
        rows = self._connection.execute(
            "SELECT id, after, lines, time FROM head WHERE computer = ? AND id > ? ORDER BY id", (computer, beyond)
        )
        found: list[Sighting] = []
        lines = 0
        for known, after, hashes, when in rows:
            told = tuple(hashes[place : place + 32].hex() for place in range(0, len(hashes), 32))
            found.append(Sighting(after, told, own, datetime.fromtimestamp(when, UTC), known))
            lines += len(told)
            if lines > SHOWN or len(found) >= SHOWN:
                break
        return found

    def _newest(self, computer: Fingerprint) -> tuple[int, str]:
        row = self._connection.execute(
            "SELECT after, lines FROM head WHERE computer = ? ORDER BY id DESC LIMIT 1", (computer,)
        ).fetchone()
        if row is None or not row[1]:
            return 0, BEFORE_ALL
        return row[0] + len(row[1]) // 32, row[1][-32:].hex()

    def _keep(self, computer: Fingerprint, after: int, hashes: bytes) -> None:
        self._connection.execute(
            "INSERT INTO head (computer, after, lines, time) VALUES (?, ?, ?, ?)",
            (computer, after, hashes, self._clock()),
        )
        self._since[computer] += 1  # of each: by the rows of all, two that take turns would never be tidied
        if self._since[computer] < TIDY_EVERY:
            return
        self._since[computer] = 0
        self._connection.execute(
            "DELETE FROM head WHERE computer = ?1 AND id <= (SELECT max(id) FROM (SELECT id, sum(length(lines) + ?2)"
            " OVER (ORDER BY id DESC) AS size FROM head WHERE computer = ?1) WHERE size > ?3)",
            (computer, ROW, KEPT),
        )

    def _report(self, computer: Fingerprint, number: int, *, missing: bool) -> None:
        """Alarm, once in an hour for each computer: its own node could go on contradicting itself for ever."""
        now = self._clock()
        before = self._connection.execute("SELECT max(time) FROM rewritten WHERE computer = ?", (computer,)).fetchone()
        if before[0] is not None and 0 <= now - before[0] < ONCE:
            return
        what = "is missing" if missing else "is another now"
        reason = f"its record was rewritten: line {number}, which was witnessed here, {what}"
        self._connection.execute("INSERT INTO rewritten VALUES (?, ?, ?)", (computer, reason, now))
        self._record("record rewritten", computer=self._facts.roster.members[computer].name, reason=reason)

    async def _hear(self, request: web.Request) -> web.Response:
        computer = self._member(request)
        if self._key.fingerprint not in self._facts.roster.guards:
            raise Refused("This computer is no guard: it witnesses for nobody.")
        return json_answer(self.take(computer, await document(request, Telling)))

    async def _show(self, request: web.Request) -> web.Response:
        beyond = request.query.get("beyond", "0")
        return json_answer(self.sightings(self._member(request), int(beyond) if beyond[:18].isdecimal() else 0))

    def _member(self, request: web.Request) -> Fingerprint:
        """Each computer speaks and hears of its own record only."""
        caller = caller_of(request)
        if caller is None or caller not in self._facts.roster.members:
            raise NotAdmitted("Only computers of the network have their records witnessed.")
        return caller


def checked(envelope: Envelope, guard: Fingerprint, spki: bytes, network: str, computer: Fingerprint) -> Head:
    """The head that this guard signed for this computer. Raises Refused for anything else."""
    try:
        head = from_json(envelope.payload, Head)
    except ValueError as error:
        raise Refused("That is no witnessed head.") from error
    signed = envelope.payload_type == KIND and guard in signers(envelope, {guard: spki})
    if not signed or (head.network, head.computer) != (network, computer):
        raise Refused("That head was not signed for this computer by whom it was asked of.")
    return head


def kept(path: Path, roster: Roster, own: Fingerprint) -> tuple[list[Sighting], int]:
    """The signed heads that this computer keeps at `path`, and how many of them nobody we know has signed."""
    known = {m.fingerprint: m for m in (*roster.removed_members.values(), *roster.members.values())}
    found: list[Sighting] = []
    unproven = 0
    for line in finished(path):
        try:
            envelope = Envelope.parse(line, largest=len(line))
            signer = next(Fingerprint(s.keyid) for s in envelope.signatures if s.keyid in known and s.keyid != own)
            head = checked(envelope, signer, known[signer].certificate.spki, roster.network_id, own)
        except (Refused, StopIteration):
            unproven += 1
            continue
        found.append(Sighting(head.after, head.lines, known[signer].name, head.time))
    return found, unproven


def by_line(sightings: Iterable[Sighting]) -> Mapping[int, list[Sight]]:
    """For `lines.verify`."""
    seen: dict[int, list[Sight]] = {}
    for number, sight in _sights(sightings):
        seen.setdefault(number, []).append(sight)
    return seen


def _sights(sightings: Iterable[Sighting]) -> Iterator[tuple[int, Sight]]:
    for each in sightings:
        for number, found in enumerate(each.lines, each.after + 1):
            yield number, Sight(found, each.by, each.time)
