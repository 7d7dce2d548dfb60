"""What runs here for somebody, and how it ends with the right to it.

A right can end while a download, a job or a stream of news runs: by a removal, a deny, the end of a rule or of
a pass. So whatever runs for somebody is a `Work`, and `authority.permit` hands each permit to the work in which it was
asked for: a door under the gate cannot open anything without being watched. Whoever changes what decides calls
`look`, and every running work is asked again, in the same breath: its permits, and whether who asked still is who
they were. A work that would now be refused is cut, and the record says so.

Rules, passes and accounts also end by time. The watch looks once a second for that, while anything runs: with
alarms set to each end, a new kind of end could be forgotten. One second costs a decision (microseconds) for each work.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from types import TracebackType
from typing import Self

from commonhold.authority.authority import (
    WORK,
    Authority,
    Decision,
    Door,
    Hearing,
    Holder,
    Permit,
    Subject,
    Verb,
    refusal,
)
from commonhold.errors import Refused

LOOK_EVERY = 1.0  # seconds
NETWORK = Door(kind="network", id="", name="the network")

End = Callable[[Refused], None]


class Work:
    """Something that runs for `subject`, until it is closed. A `with` holds what is permitted inside, and closes it."""

    __slots__ = ("_end", "_token", "_watch", "permits", "subject", "what")

    def __init__(self, watch: Watch, subject: Subject, what: str, end: End) -> None:
        self.subject = subject
        self.what = what
        self.permits: dict[Permit, None] = {}  # in the order in which they were given
        self._watch = watch
        self._end = end
        self._token: contextvars.Token[Holder | None] | None = None

    def __enter__(self) -> Self:
        self._token = WORK.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._token is not None:
            WORK.reset(self._token)
        self.close()

    def hold(self, permit: Permit) -> None:
        """This runs under that permit too. One that is over holds nothing: tasks that it left behind may still ask."""
        if self in self._watch.running:
            self.permits[permit] = None

    def let_go(self, permit: Permit) -> None:
        """What that permit was for is done, though the rest runs on."""
        self.permits.pop(permit, None)

    def close(self) -> None:
        """It is over, by itself."""
        self._watch.running.pop(self, None)

    def refused(self, authority: Authority) -> Refused | None:
        """What stands against it now, if anything does."""
        before = self.subject
        # A person who came with a password has no computer to look up: `decide` sees whether that login holds.
        now = before if before.login else authority.who(before.computer, before.pass_id)
        if now.standing is not before.standing:
            return turned_away(authority.decide(now, Verb.LIST, NETWORK))
        if now.person != before.person:
            return Refused(f"{before} is not who asks any more.")
        hearings: dict[Door, Hearing] = {}  # a batch holds hundreds of permits at one door
        for permit in self.permits:
            if (hearing := hearings.get(permit.door)) is None:
                hearing = hearings[permit.door] = Hearing(authority, now, permit.door)
            decision = hearing.decide(permit.verb, permit.path)
            if not decision.allowed:
                return refusal(decision, now, permit.verb, permit.door)
        return None

    def end(self, why: Refused) -> None:
        """Cut it: its permits open nothing from now on, in no thread."""
        self.close()
        for permit in self.permits:
            permit.ended = why
        self._end(why)


class Watch:
    """All that runs at one computer. On the event loop only; `record` is the audit's."""

    def __init__(self, authority: Callable[[], Authority], record: Callable[..., None]) -> None:
        self.authority = authority
        self.running: dict[Work, None] = {}  # in the order in which it began
        self._record = record
        self._next: asyncio.TimerHandle | None = None

    def begin(self, subject: Subject, what: str, end: End) -> Work:
        """Something begins to run: `what` is for the record. `end(why)` must stop it at once, without raising."""
        work = Work(self, subject, what, end)
        self.running[work] = None
        if self._next is None:
            self._look_later()
        return work

    def look(self) -> None:
        """Something changed that decides: cut what would be refused now.

        All but the request that made the change: it is about to be answered, and over.
        """
        authority, own = self.authority(), WORK.get()
        for work in list(self.running):
            if work is not own and (why := work.refused(authority)) is not None:
                self._cut(work, why)

    def shut(self, door_id: str) -> None:
        """That door is no more: whatever runs there is cut, its owner's too."""
        for work in list(self.running):
            for permit in work.permits:
                if permit.door.id == door_id:
                    self._cut(work, Refused(f"{permit.door.name} is not shared any more."))
                    break

    def close(self) -> None:
        if self._next is not None:
            self._next.cancel()

    def _cut(self, work: Work, why: Refused) -> None:
        self._record("cut", **work.subject.words(), what=work.what, reason=why.sentence)
        work.end(why)

    def _look_later(self) -> None:
        # In a context of its own: else the timer would be part of the work that happened to start it, and spare it.
        loop = asyncio.get_running_loop()
        self._next = loop.call_later(LOOK_EVERY, self._look_now, context=contextvars.Context())

    def _look_now(self) -> None:
        self._next = None
        self.look()
        if self.running:
            self._look_later()


def turned_away(decision: Decision) -> Refused:
    """What somebody hears who is no member any more, whatever they ask."""
    return Refused(f"{decision.reason}.", decision.hint, reason=decision.reason)
