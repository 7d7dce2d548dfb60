"""Doors opened and refused, as the record tells of them: once for each visitor, verb and door in a quarter of an hour.

Not for each read: a film that is watched over a mount is thousands of requests. Not for each
connection either: connections are kept, shared and lost as the network pleases, so that one visit would be
a line today and fifty tomorrow. A quarter of an hour is the same on every network.

What this computer's own person does here is no visit. Doors that do not exist are one: whoever
asks for a thousand names leaves one line, with the first. Strangers leave none, since everybody
who can reach a listener could fill the disk with them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

from commonhold.authority.authority import Decision, Door, Subject, Verb
from commonhold.names import Fingerprint

QUARTER = 900.0  # seconds; whoever is silent for longer has left
THOUGHT = 1.0  # second: requests that follow one another faster are a program's, which does not think between them
ACTS = frozenset({Verb.GOVERN, Verb.ADMIT})  # what comes of these has lines of its own


class Quarters:
    """Tells what is the first of its kind in a quarter of an hour."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._quarter = -1
        self._known: set[Hashable] = set()

    def first(self, kind: Hashable) -> bool:
        if (quarter := int(self._clock() // QUARTER)) != self._quarter:
            self._quarter = quarter
            self._known.clear()
        if kind in self._known:
            return False
        self._known.add(kind)
        return True


class Pauses:
    """How long people pause between requests: for measurements, which need no names, only sums of each quarter."""

    def __init__(self, record: Callable[..., object], clock: Callable[[], float]) -> None:
        self._record = record
        self._clock = clock
        self._quarter = -1
        self._last: dict[Hashable, float] = {}  # when each person's last request came
        self._paused: dict[Hashable, list[float]] = {}

    def note(self, person: Hashable) -> None:
        """A request of this person. Of a quarter in which somebody paused, one line tells when the next has begun."""
        now = self._clock()
        if (quarter := int(now // QUARTER)) != self._quarter:
            self._tell()
            self._quarter = quarter
        since, self._last[person] = now - self._last.get(person, now), now
        if THOUGHT <= since < QUARTER:
            self._paused.setdefault(person, []).append(since)

    def _tell(self) -> None:
        pauses = [each for paused in self._paused.values() for each in paused]
        if pauses:
            mean = round(sum(pauses) / len(pauses), 3)
            self._record("pauses", people=len(self._paused), pauses=len(pauses), seconds=mean)
        self._paused.clear()


class Visits:
    """An authority's `note`."""

    def __init__(
        self, record: Callable[..., object], own: Fingerprint, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._record = record
        self._own = own
        self._quarters = Quarters(clock)
        self._pauses = Pauses(record, clock)

    def __call__(self, subject: Subject, verb: Verb, door: Door, decision: Decision) -> None:
        if subject.computer == self._own or (decision.allowed and verb in ACTS):
            return
        if decision.allowed:
            self._pauses.note(subject.person)
        if not self._quarters.first((subject.computer, subject.person, verb, door.id, decision.allowed)):
            return
        words = {**subject.words(), "verb": str(verb), "door": door.name}
        if decision.allowed:
            self._record("door opened", **words)
        else:
            self._record("door refused", **words, reason=decision.reason)
