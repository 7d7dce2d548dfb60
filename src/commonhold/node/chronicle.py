"""What the node records by itself: who came and went, new charters, alarms, and a clock that was set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from commonhold.authority.clock import steady
from commonhold.authority.roster import Roster
from commonhold.authority.statements import Member

LOOK_EVERY = 15.0  # seconds between two looks at the clock
AHEAD = 60.0  # seconds: a step that the record tells of
BACK = 2.0  # seconds; time servers correct less without a step

Record = Callable[..., object]


class Chronicle:
    """The lines that follow from the roster, whoever signed what changed it."""

    def __init__(self, record: Record, roster: Roster) -> None:
        self._record = record
        self._known = roster

    def heard(self, roster: Roster) -> None:
        """For FactStore's `on_change`."""
        before, self._known = self._known, roster
        for fingerprint in roster.members.keys() - before.members.keys():
            self._record("admit", **_words(roster.members[fingerprint], roster))
        for fingerprint in before.members.keys() - roster.members.keys():
            self._record("gone", **_words(before.members[fingerprint], before))
        if roster.charter_id != before.charter_id:
            guards = sorted(roster.members[guard].name for guard in roster.guards)
            self._record("charter", number=roster.charter.number, shape=roster.shape, guards=guards)
        if roster.shape != before.shape:
            server = {"server": roster.members[roster.server].name} if roster.server else {}
            self._record("shape change", shape=roster.shape, before=before.shape, **server)
        if roster.alarm and roster.alarm != before.alarm:
            self._record("alarm", reason=roster.alarm)


def _words(member: Member, roster: Roster) -> dict[str, str]:
    person = roster.persons.get(member.person, "")
    return {"computer": member.name, "person": person, "fingerprint": member.fingerprint}


class ClockWatch:
    """Compares the clock with one that nobody can set; at the start, with the record's last line."""

    def __init__(
        self,
        record: Record,
        newest: datetime | None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        steady: Callable[[], float] = steady,
    ) -> None:
        self._record, self._wall, self._steady = record, wall, steady
        self._at = wall(), steady()
        if newest is not None and (behind := (newest - self._at[0]).total_seconds()) > BACK:
            record("clock jump", seconds=-round(behind))

    def look(self) -> None:
        """Record a jump since the last look."""
        before, now = self._at, (self._wall(), self._steady())
        jumped = (now[0] - before[0]).total_seconds() - (now[1] - before[1])
        if jumped > AHEAD or jumped < -BACK:
            self._record("clock jump", seconds=round(jumped))
        self._at = now

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.look()
