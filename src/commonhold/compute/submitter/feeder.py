"""Sends calls to a session in batches, and brings back what became of them: one thread for each executor.

A session can be lost with its scheduler, which keeps nothing: then another is asked for, and what was open is sent
again. So a call may run twice, as it may when its computer is lost.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from typing import Any

from distributed.scheduler import KilledWorker

from commonhold.compute.batching import AHEAD, BUDGET
from commonhold.compute.parcel import Parcel, pack
from commonhold.compute.sandboxed import calling
from commonhold.compute.sandboxed.calling import BatchReply, CallOutcome
from commonhold.compute.submitter.client import LentClient
from commonhold.compute.submitter.holding import Holding
from commonhold.compute.submitter.queues import Batch, Call, CallQueue, Queues
from commonhold.compute.submitter.remote_traceback import RemoteTraceback
from commonhold.compute.submitter.supplies import Supplies
from commonhold.errors import CommonholdError, NotFound, Unreachable

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds between two looks who computes, while there is something to send
LARGE = 100_000  # bytes of a function that is sent once, and not with each batch
MOST_LOSSES = 3  # sessions in a row that were lost before any call came back
MOST_KILLS = 2  # batches of one call that ended the processes which ran them


class Intake:
    """What is asked for, by any thread, and waits for the feeder's."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lines = Queues()
        self._flying: dict[str, Batch] = {}
        self._arrived: list[tuple[Batch, Any]] = []
        self._cancelled = False
        self._closing = False
        self.broken: BaseException | None = None
        self.notes: list[str] = []

    def put(self, parcel: Parcel, calls: Iterable[Call], fixed: int | None) -> None:
        """Quick. Calls are sent in order, a function's turn after the other's."""
        with self._changed:
            if self.broken is None:
                self._lines.add(parcel, calls, fixed)
                self._changed.notify()
                return
        for call in calls:
            _settle(call, error=self.broken)

    def notice_cancelled(self) -> None:
        """Quick. Some call was cancelled."""
        with self._changed:
            self._cancelled = True
            self._changed.notify()

    def close(self, cancel: str = "") -> None:
        """Quick. No more calls come; `cancel` those that are `waiting`, or `all`."""
        with self._changed:
            self._closing = True
            doomed = self._lines.calls() if cancel else []
            if cancel == "all":
                doomed += [call for batch in self._flying.values() for call in batch.calls]
            self._changed.notify()
        for call in doomed:
            call.future.cancel()

    def _note(self, sentences: list[str]) -> None:
        self.notes += [each for each in sentences if each not in self.notes]


class Feeder(Intake):
    """`hold` asks for a session and may block, as all here that is not said to be quick."""

    def __init__(self, hold: Callable[[], Holding], retries: int) -> None:
        self._hold = hold
        self._retries = retries
        super().__init__()
        self._losses = 0
        self._looked = 0.0
        self._asking = threading.Lock()  # of supplies
        self._begin_session()
        self._thread = threading.Thread(target=self._run, name="commonhold-functions", daemon=True)
        self._thread.start()

    def _begin_session(self) -> None:
        holding = self._hold()
        self.notes += holding.notes
        self._client = LentClient(holding, set_as_default=False)
        self._supplies = Supplies(self._client)

    # From any thread

    def require(self, parcel: Parcel) -> None:
        """Raise NotFound when no computer has the modules that a function needs."""
        if parcel.modules and self._client.status == "running":
            with self._asking:
                self._note(self._supplies.require(parcel.modules))

    def join(self) -> None:
        if threading.current_thread() is not self._thread:
            self._thread.join()

    # The thread

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:
            if not isinstance(error, CommonholdError):
                log.exception("calls of functions cannot go on")
            self._break(error)
        finally:
            self._client.close()  # type: ignore[no-untyped-call]

    def _break(self, error: BaseException) -> None:
        with self._changed:
            self.broken = error
            calls = self._lines.calls() + [call for batch in self._flying.values() for call in batch.calls]
            self._lines = Queues()
            self._flying.clear()
        for call in calls:
            _settle(call, error=error)

    def _turn(self) -> bool:
        with self._changed:
            self._changed.wait_for(self._something, LOOK_EVERY if self._lines or self._flying else None)
            arrived, self._arrived = self._arrived, []
            cancelled, self._cancelled = self._cancelled, False
            if self._closing and not (self._lines or self._flying or arrived):
                return False
        for batch, reply in arrived:
            self._heed(batch, reply)
        try:
            if cancelled:
                self._drop_cancelled()
            if self._lines or self._flying:
                self._send()
        except CommonholdError:
            raise
        except Exception as error:
            if not self._lost(error):
                raise
            self._begin_again()
        return True

    def _lost(self, error: Exception) -> bool:
        """Whether that is how Dask tells of a lost connection: while it is being closed, with whatever comes first."""
        return isinstance(error, OSError) or self._client.status != "running"

    def _something(self) -> bool:
        more = self._lines and self._room()
        return bool(self._arrived or self._cancelled or more or (self._closing and not self._flying))

    def _room(self) -> bool:
        """Whether another batch may fly.

        Dask blames all that a process had, also what waited in it. So a call that may have ended its processes flies
        alone: should they end again, it is known whose fault it is.
        """
        if self._lines.suspected:
            return not self._flying
        suspect = any(batch.calls[0].kills for batch in self._flying.values())
        return not suspect and len(self._flying) < AHEAD * max(1, len(self._supplies.processes))

    def _send(self) -> None:
        if self._client.status != "running":
            self._begin_again()
        if time.monotonic() - self._looked > LOOK_EVERY:
            self._looked = time.monotonic()
            with self._asking:
                self._supplies.look()
        while self._room():
            with self._changed:
                taken = self._lines.take(max(1, len(self._supplies.processes)))
                if taken is None:
                    return
                batch = Batch(*taken, self._client.holding.name)
                self._flying[batch.name] = batch
            try:
                self._launch(batch)
            except CommonholdError:
                raise
            except Exception as error:
                if self._lost(error):
                    raise
                self._unpicklable(batch, error)

    def _launch(self, batch: Batch) -> None:
        line = batch.line
        words = [(call.words, call.named) for call in batch.calls]
        data = pack(words, line.parcel.carried, read=False).data
        batch.size = len(data)
        with self._asking:
            processes, sentences = self._supplies.fit(line.parcel.modules)
        self._note(sentences)
        if processes == []:  # those that had them are gone
            self._give_up(batch, NotFound(f"No computer has what the function needs. {' '.join(sentences)}"))
            return
        batch.future = self._client.submit(
            calling.perform,
            batch.name,
            self._function(line),
            data,
            self._retries,
            BUDGET,
            key=batch.name,
            pure=False,
            workers=processes,
        )
        assert self._client.loop is not None  # noqa: S101 - it runs until the client is closed, here
        self._client.loop.add_callback(self._bring, batch, self._client)

    def _function(self, line: CallQueue) -> Any:
        """The pickled function, or where it is in the session when it is large."""
        if len(line.parcel.data) < LARGE:
            return line.parcel.data
        if line.shared is None or line.shared[0] is not self._client:
            line.shared = self._client, self._client.submit(calling.keep, line.parcel.data, pure=False)
        return line.shared[1]

    async def _bring(self, batch: Batch, client: LentClient) -> None:
        """On Dask's own loop."""
        try:
            reply: Any = await client.gather(batch.future, asynchronous=True)  # type: ignore[no-untyped-call]
        except BaseException as error:
            reply = error
        with self._changed:
            self._arrived.append((batch, reply))
            self._changed.notify()

    def _give_up(self, batch: Batch, error: BaseException) -> None:
        self._flying.pop(batch.name, None)
        for call in batch.calls:
            _settle(call, error=error)

    def _unpicklable(self, batch: Batch, error: Exception) -> None:
        """Some argument cannot travel: each call is tried by itself, so that only those fail that must."""
        if len(batch.calls) == 1:
            self._give_up(batch, error)
        else:
            del self._flying[batch.name]
            self._again_alone(batch)

    def _again_alone(self, batch: Batch) -> None:
        for call in batch.calls:
            call.alone = True
        with self._changed:
            self._lines.put_back(batch.line, batch.calls)

    # What comes back

    def _heed(self, batch: Batch, reply: Any) -> None:
        if self._flying.pop(batch.name, None) is None:
            return  # of a session that was lost, and sent again
        if isinstance(reply, BatchReply):
            self._deliver(batch, reply)
        elif isinstance(reply, CancelledError | asyncio.CancelledError | OSError):
            if any(not call.future.cancelled() for call in batch.calls):
                self._flying[batch.name] = batch
                self._begin_again()
        elif isinstance(reply, KilledWorker):
            self._killed(batch)
        else:
            self._give_up(batch, reply)

    def _deliver(self, batch: Batch, reply: BatchReply) -> None:
        self._losses = 0
        if not reply.opened and len(batch.calls) > 1:
            self._again_alone(batch)
            return
        for stream, text in ((sys.stdout, reply.printed), (sys.stderr, reply.complained)):
            if text and stream is not None:
                stream.write(text)
                stream.flush()
        if reply.opened and reply.outcomes:
            size = batch.size + sum(len(outcome.data) for outcome in reply.outcomes)
            batch.line.pace.heed(len(reply.outcomes), reply.seconds, size)
        left = batch.calls[len(reply.outcomes) :]
        with self._changed:
            self._lines.put_back(batch.line, left)
        for call, outcome in zip(batch.calls, reply.outcomes, strict=False):
            _deliver(call, outcome)

    def _killed(self, batch: Batch) -> None:
        """The processes that ran it ended. Among several calls nobody knows which did it."""
        if len(batch.calls) > 1:
            self._again_alone(batch)
            return
        [call] = batch.calls
        call.kills += 1
        if call.kills < MOST_KILLS:
            self._again_alone(batch)
        else:
            _settle(call, error=CommonholdError("The call ended the processes that ran it, each time it was tried."))

    def _begin_again(self) -> None:
        """The session is lost: ask for another, and send again what was on its way."""
        trouble = self._client.holding.trouble or Unreachable("The session's scheduler ended.")
        self._losses += 1
        if self._losses > MOST_LOSSES:
            raise trouble
        self._client.close()  # type: ignore[no-untyped-call]
        with self._changed:
            for batch in reversed(self._flying.values()):
                self._lines.put_back(batch.line, batch.calls)
            self._flying.clear()
        self._note([f"A session was lost and begun again: {trouble.sentence}"])
        self._begin_session()

    def _drop_cancelled(self) -> None:
        """Batches of which nobody wants any result end, also while they run."""
        doomed = [batch for batch in self._flying.values() if all(call.future.cancelled() for call in batch.calls)]
        if not doomed or self._client.status != "running":
            return
        for batch in doomed:
            del self._flying[batch.name]
        self._client.cancel([batch.future for batch in doomed], force=True)  # type: ignore[no-untyped-call]
        self._client.run(calling.interrupt, [batch.name for batch in doomed], on_error="ignore")


def _deliver(call: Call, outcome: CallOutcome) -> None:
    try:
        value = pickle.loads(outcome.data)  # noqa: S301 - whoever calls functions trusts the lenders (docs/security.md)
    except BaseException as error:
        _settle(call, error=error)
        return
    if outcome.done:
        _settle(call, value)
    else:
        value.__cause__ = RemoteTraceback.of(outcome.traceback)
        _settle(call, error=value)


def _settle(call: Call, value: Any = None, error: BaseException | None = None) -> None:
    """Tell whoever waits for it, unless it was cancelled."""
    if call.future.done() or not call.future.set_running_or_notify_cancel():
        return
    if error is not None:
        call.future.set_exception(error)
    else:
        call.future.set_result(value)
