"""Dask inside a sandboxed process: the scheduler's side and the worker's side of a session.

What Dask knows as a task is a batch of ours (stock.py). Outcomes travel as events on the connection that a worker
has with its scheduler anyway, before Dask's own word that the batch is finished: gathering each result by itself
would cost two more round trips. Nothing but the keys of batches stays in the workers' memory.

Dask's HTTP servers (metrics, dashboard; without any password) never start.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

import dask
import msgspec
from distributed import Client, Future, Scheduler, Security, Worker, get_worker
from distributed.core import Status
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.metrics import time
from distributed.scheduler import TaskState, WorkerState

from commonhold.compute.channel import SCHEDULER, Channel, Orders
from commonhold.compute.job import parts_of
from commonhold.compute.said import Listening
from commonhold.compute.sandboxed import task
from commonhold.compute.sandboxed.comm import SCHEME, Wiring, participant, register
from commonhold.compute.sandboxed.series import MOMENT, Series, Word, size_of
from commonhold.compute.sandboxed.stock import Label, Lot, Stock

if TYPE_CHECKING:  # it loads what makes certificates: a fifth of the time in which this process starts
    from commonhold.compute.certificates import Papers

OUTCOMES = "outcomes"  # the topic of the events that carry them
# Seconds. Changes are told in batches, each of them one transaction in the node's journal: one commit can
# take 10 ms on a busy disk. The more there are at once, the longer the next batch gathers.
REPORT_PAUSE, LONGEST_PAUSE = 0.005, 0.25
LONGEST_PORTION = 2**21  # characters of outcomes in one line
WANTS_EVERY = 0.25  # seconds between two words to the lender on how many cores are wanted
TIDY_EVERY = 1.0  # seconds between two looks whether tasks print too much, or left something running
GIVEN_UP = 30  # seconds that a worker looks for its scheduler: as long as it is waited for (hub/seating.py)

SETTINGS: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 1,  # in peer-to-peer each try costs another person's worker
    "distributed.scheduler.worker-ttl": None,  # it looks too seldom: see Observer.listen
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.comm.timeouts.connect": "10s",
    "distributed.admin.low-level-log-length": 20,  # outcomes pass through this log, many at a time
    "distributed.worker.profile.enabled": False,
    # A worker that waits takes a third of what it did (1.5 % of a core): guests have a hundredth while owners compute.
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.cycle": "5s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.scheduler.dashboard.status.task-stream-length": 1,
    "dataframe.convert-string": False,
}


class _Silent:
    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Dask's own HTTP has no password and would answer any task: it is not served."""


class QuietScheduler(_Silent, Scheduler):
    observer: Observer | None = None

    async def remove_worker(self, address: str, **words: Any) -> Any:
        if self.observer is not None:
            self.observer.withdraw(self.coerce_address(address), words["stimulus_id"])
        return await super().remove_worker(address, **words)

    def is_rootish(self, ts: TaskState) -> bool:
        """Whether a task waits here, and at no worker, until one has room: who comes then has work at once."""
        if self.observer is not None and self.observer.knows(ts.key):
            return not (ts.resource_restrictions or ts.worker_restrictions)
        return bool(super().is_rootish(ts))


class QuietWorker(_Silent, Worker):
    def __init__(self, orders: Orders, folder: str, node: task.LenderLine | None) -> None:
        """`node` is for the tasks of commands."""
        self.node = node
        self.computer = orders.computer
        super().__init__(
            f"{SCHEME}://{SCHEDULER}",
            host=f"{SCHEME}://{orders.me}",
            nthreads=orders.cores,
            resources={"cores": orders.cores, "memory": orders.asked},
            memory_limit=orders.memory,
            name=orders.me,
            local_directory=folder,
            security=security(orders),
            death_timeout=GIVEN_UP,
        )


def security(papers: Papers | Orders) -> Security:
    """What makes a process one of the session."""
    words = {"tls_ca_file": papers.authority, "require_encryption": True, "tls_min_version": ssl.TLSVersion.TLSv1_3}
    for role in ("scheduler", "worker", "client"):
        words |= {f"tls_{role}_cert": papers.certificate, f"tls_{role}_key": papers.key}
    return Security(**words)  # type: ignore[no-untyped-call]


async def run(
    orders: Orders, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streams: socket.socket, folder: str
) -> None:
    """Be what the orders say until the node closes the channel."""
    logging.getLogger("distributed").setLevel(logging.WARNING)
    with dask.config.set(SETTINGS):
        register(Wiring(orders.me, streams))
        side = SchedulerSide(orders) if orders.me == SCHEDULER else WorkerSide(orders, folder)
        channel = Channel(reader, writer, side.answer)
        serving = asyncio.create_task(channel.serve())
        await side.start(channel)
        channel.tell("ready")
        await serving


async def work(orders: Orders, streams: socket.socket, folder: str) -> None:
    """Be one worker of a session for functions, until Dask closes it: its scheduler is gone."""
    logging.getLogger("distributed").setLevel(logging.WARNING)
    with dask.config.set(SETTINGS):
        register(Wiring(orders.me, streams))
        worker = await QuietWorker(orders, folder, None)
        await worker.finished()


class SchedulerSide:
    """Scheduler and client in one process; takes tasks from the node and tells it what becomes of them."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._stock = Stock()
        self._futures: dict[str, Future[Any]] = {}  # by batch

    async def start(self, channel: Channel) -> None:
        secure = security(self._orders)
        places: dict[str, Any] = {"host": [f"{SCHEME}://{SCHEDULER}", None], "protocol": [SCHEME, "inproc"]}
        self._scheduler = await QuietScheduler(**places, security=secure, dashboard=False)
        inner = self._scheduler.listeners[1].contact_address
        words: dict[str, Any] = {"asynchronous": True, "security": secure, "set_as_default": False}
        self._client = await Client(inner, **words)  # type: ignore[no-untyped-call]
        kept = self._scheduler, channel, self._stock, self._futures
        self._observer = self._scheduler.observer = Observer(*kept, self._client.id, self._give)
        self._observer.begin()
        self._working = [
            asyncio.create_task(self._observer.report()),
            asyncio.create_task(self._observer.listen(self._orders.patience)),
        ]

    async def answer(self, what: str, words: dict[str, Any]) -> Any:
        if what == "submit":
            return self._submit(**words)
        if what == "cancel":
            return await self._cancel(**words)
        if what == "rest":
            return await self._observer.rest(**words)
        raise ValueError(f"no such ask: {what}")

    def _submit(self, specs: list[dict[str, Any]], retries: int, cores: int, memory: int, on: list[str] | None) -> None:
        """`specs` as task.perform takes them, each with its own `key`."""
        job, _, turn = parts_of(specs[0]["key"])
        self._stock.add(Label(job, turn, retries, cores, memory, tuple(on or ())), specs)
        self._give()

    def _give(self) -> None:
        """Batches to the workers, as far as these have room."""
        for lot in self._stock.next(self._places):
            label = lot.label
            self._futures[lot.name] = self._client.submit(
                perform,
                lot.name,
                msgspec.json.encode(list(lot.specs.values())),
                label.retries > 0,
                key=lot.name,
                retries=label.retries,
                workers=[f"{SCHEME}://{one}" for one in label.on] or None,
                resources=_resources(label),
                pure=False,
                priority=label.turn,
            )

    def _places(self, label: Label) -> int:
        """How many such tasks can run at a time."""
        fit = {f"{SCHEME}://{one}" for one in label.on} or self._scheduler.workers.keys()
        workers = [worker for worker in self._scheduler.workers.values() if worker.address in fit]
        return sum(_room(worker, label) for worker in workers if worker.status is not Status.closed)

    async def _cancel(self, keys: list[str]) -> None:
        futures = [self._futures.pop(name) for name in self._stock.drop(keys)]
        await self._client.cancel(futures, force=True)
        self._give()


class Observer(SchedulerPlugin):
    """Sees each change of each batch in the scheduler, hears of its tasks, and tells the node, in portions."""

    name: ClassVar[str] = "commonhold"

    def __init__(
        self,
        scheduler: Scheduler,
        channel: Channel,
        stock: Stock,
        futures: dict[str, Future[Any]],
        client: str,
        give: Callable[[], None],
    ) -> None:
        """`client` wants the batches; `give` hands out more of them."""
        self._scheduler = scheduler
        self._channel = channel
        self._stock = stock
        self._futures = futures
        self._client = client
        self._give = give
        self._giving = False
        self._tried: dict[str, dict[str, Any]] = {}  # outcomes of tasks that Dask may try again
        self._changes: list[dict[str, Any]] = []
        self._some = asyncio.Event()
        self._excused: dict[str, float] = {}  # workers that are, or were, frozen: until when, by the same clock
        self._silent = ""  # the worker that is just being given up

    def begin(self) -> None:
        """See all from now on; and the workers that came before, while the client was still connecting."""
        self._scheduler.add_plugin(self)
        for worker in self._scheduler.workers:
            self.add_worker(self._scheduler, worker)

    def log_event(self, topic: str, msg: Any) -> None:
        if topic != OUTCOMES:
            return
        word = msgspec.json.decode(msg, type=Word)
        if (lot := self._stock.lot(word.batch)) is None:
            return  # it was dropped, or lost with its worker: its tasks may be out anew by now
        for outcome in word.ended:
            if outcome["key"] in lot.specs:
                self._ended(lot, outcome)
        self._wait(self._stock.put_back(lot, word.back))
        self._give_soon()

    def knows(self, name: object) -> bool:
        """Whether that is a batch of ours."""
        return isinstance(name, str) and self._stock.lot(name) is not None

    def _ended(self, lot: Lot, outcome: dict[str, Any]) -> None:
        key = outcome["key"]
        if outcome["exit"] != 0 and lot.label.retries:
            self._tried[key] = outcome
            return
        self._tried.pop(key, None)
        self._stock.end(lot, key, outcome["seconds"], size_of(outcome))
        self._note(key=key, state="failed" if outcome["exit"] != 0 else "done", outcome=outcome)

    def transition(self, key: Any, start: str, finish: str, *_: Any, **words: Any) -> None:
        lot = self._stock.lot(key)
        if lot is None:
            return
        if finish == "processing":
            where = self._where(key)
            for one in lot.specs:
                self._note(key=one, state="running", at=where)
        elif start == "processing" and finish in {"released", "waiting", "queued", "no-worker"}:
            self._wait(lot.specs)
        elif finish in {"memory", "erred"}:
            self._over(key, str(words.get("exception_text")))

    def _over(self, name: str, trouble: str) -> None:
        """That batch: what it has not told of could not be run, or has been tried often enough."""
        outcome = {"problem": f"It could not be run: {trouble[:500]}.", "exit": None}
        for key in self._stock.close(name):
            self._note(key=key, state="failed", outcome=self._tried.pop(key, outcome))
        self._futures.pop(name).release()  # type: ignore[no-untyped-call]
        self._give_soon()

    def _wait(self, keys: Iterable[str]) -> None:
        """One that failed, and is tried again, with why."""
        for key in keys:
            tried = self._tried.pop(key, None)
            told = {"outcome": {name: tried[name] for name in ("exit", "problem") if name in tried}} if tried else {}
            self._note(key=key, state="waiting", **told)

    def _where(self, key: str) -> str:
        """The participant that the scheduler gave it to."""
        worker = self._scheduler.tasks[key].processing_on
        return worker.address.removeprefix(f"{SCHEME}://") if worker else ""

    def _give_soon(self) -> None:
        """When Dask has done what it does just now."""
        if not self._giving:
            self._giving = True
            asyncio.get_running_loop().call_soon(self._give_now)

    def _give_now(self) -> None:
        self._giving = False
        self._give()

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        self._excused.pop(worker, None)  # of an earlier one
        self._note(joined=worker.removeprefix(f"{SCHEME}://"))
        self._give_soon()

    def withdraw(self, address: str, stimulus: str) -> None:
        """A worker is about to be removed: its tasks of ours are not for Dask to run again, but for the hub.

        Only that knows what to blame, and when its lender can store nothing any more. Told before Dask hands
        anything out: no other task may take the places that become free there.
        """
        worker = self._scheduler.workers.get(address)
        if worker is None:
            return
        worker.status = Status.closed
        self._scheduler.running.discard(worker)
        self._scheduler.idle.pop(address, None)
        self._scheduler.idle_task_count.discard(worker)
        names = [str(task.key) for task in worker.processing if task.key in self._futures]
        keys = [key for name in names for key in self._stock.close(name)]
        futures = [self._futures.pop(name) for name in names]
        self._scheduler.client_releases_keys(names, self._client, stimulus)
        for future in futures:
            future.release()  # type: ignore[no-untyped-call]
        for key in keys:
            self._tried.pop(key, None)
        self._note(left=address.removeprefix(f"{SCHEME}://"), keys=keys, silent=address == self._silent)

    async def rest(self, who: str, state: str, seconds: float) -> None:
        """What that lender says of its processes (papers.Rest).

        Frozen ones may be silent for so many seconds, and get nothing new meanwhile. Of those that leave Dask runs
        the tasks elsewhere, and nobody is to blame.
        """
        for address in list(self._scheduler.workers):
            if participant(address.removeprefix(f"{SCHEME}://")).partition(".")[0] != who:
                continue
            if state == "leaving":
                await self._scheduler.remove_worker(address, stimulus_id="leaving", expected=True)
                continue
            self._excused[address] = time() + seconds
            if state != "waiting":
                status = Status.paused if state == "frozen" else Status.running
                self._scheduler.handle_worker_status_change(status, address, "rest")

    async def listen(self, silence: float) -> None:
        """Give up workers that were silent for so many seconds. When it was us who slept, nobody was."""
        pause = min(1.0, silence / 4)
        awake = time()
        while True:
            slept = time()
            await asyncio.sleep(pause)
            if time() - slept > 2 * pause + 1:
                awake = time()
            for worker in list(self._scheduler.workers.values()):
                if time() - max(worker.last_seen, awake, self._excused.get(worker.address, 0)) > silence:
                    self._silent = worker.address
                    await self._scheduler.remove_worker(worker.address, stimulus_id="silence")

    def _note(self, **change: Any) -> None:
        self._changes.append(change)
        self._some.set()

    async def report(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            changes, self._changes = self._changes, []
            for part in _portions(changes):
                self._channel.tell("changes", changes=part)
            await asyncio.sleep(min(REPORT_PAUSE * len(changes), LONGEST_PAUSE))


def _room(worker: WorkerState, label: Label) -> int:
    """How many such tasks it can run at a time."""
    by_memory = int(worker.resources["memory"]) // label.memory if label.memory else worker.nthreads
    return min(worker.nthreads // label.cores, by_memory)


def _portions(changes: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """In order, each of them short enough for one line of the channel: JSON may need six bytes for a character."""
    part: list[dict[str, Any]] = []
    size = 0
    for change in changes:
        part.append(change)
        size += size_of(change.get("outcome", {}))
        if size > LONGEST_PORTION:
            yield part
            part, size = [], 0
    if part:
        yield part


class WorkerSide:
    def __init__(self, orders: Orders, folder: str) -> None:
        self._orders = orders
        self._folder = folder

    async def start(self, channel: Channel) -> None:
        orders = self._orders
        node = task.LenderLine(channel, asyncio.get_running_loop(), self._folder, orders.computer)
        self._node = node  # before anything is waited for: its lender may have asked already
        await channel.ask("loaded")
        self._worker = QuietWorker(orders, self._folder, node)
        await self._worker
        self._watching = [asyncio.create_task(self._watch(channel)), asyncio.create_task(self._tell_wants(channel))]
        self._watching.append(asyncio.create_task(self._tidy()))

    async def _tell_wants(self, channel: Channel) -> None:
        """The lender hears how many cores the tasks want: other people's get what these leave."""
        turnstile, some, told = self._node.turnstile, asyncio.Event(), 0
        turnstile.on_wanted = partial(asyncio.get_running_loop().call_soon_threadsafe, some.set)
        while True:
            wanted = turnstile.look()
            if wanted != told:
                channel.tell("wants", cores=wanted)
                told = wanted
            if wanted:
                await asyncio.sleep(WANTS_EVERY)
            else:
                await some.wait()
                some.clear()

    async def _watch(self, channel: Channel) -> None:
        """The process has no use without its worker: Dask closes it when the scheduler is gone."""
        await self._worker.finished()  # type: ignore[no-untyped-call]
        channel.close()

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_EVERY)
            await asyncio.to_thread(self._node.commands.tidy)

    async def answer(self, what: str, words: dict[str, Any]) -> Any:
        if what == "stop":
            self._node.commands.stop(words["key"], words["why"])
        elif what == "forget":
            self._node.commands.forget(words["job"])
            self._node.grants.forget(words["job"])
        elif what == "learn":
            self._node.commands.learn(words["job"])
        elif what == "granted":
            self._node.grants.grant(words["key"])
        elif what == "cores":
            self._node.turnstile.use(words["cores"])
        elif what != "said":
            raise ValueError(f"no such ask: {what}")
        else:
            return self._node.commands.said(words["job"], msgspec.convert(words["asked"], Listening))
        return None


def _resources(label: Label) -> dict[str, int] | None:
    """What a task takes of its worker: cores that Dask does not count itself, and memory that it has asked for."""
    wanted = {"cores": label.cores} if label.cores > 1 else {}
    return wanted | ({"memory": label.memory} if label.memory else {}) or None


class TaskFailed(Exception):
    """The task's command failed; raised so that Dask tries it again as often as the job says."""


def perform(batch: str, specs: bytes, again: bool) -> None:
    """What Dask calls for each batch: its tasks in JSON. Outcomes go to the scheduler as events, ahead of the end.

    `again`: the one that is in it is tried again when it fails.
    """
    worker = cast("QuietWorker", get_worker())
    assert worker.node is not None  # noqa: S101 - a session is for commands or for functions

    def tell(word: Word) -> None:
        worker.log_event(OUTCOMES, msgspec.json.encode(word))

    series = Series(batch, msgspec.json.decode(specs), tell)
    if series.several:
        worker.loop.add_callback(worker.loop.call_later, MOMENT, series.hurry)
    while (spec := series.next()) is not None:
        outcome = task.perform(worker.node, spec)
        series.ended(outcome | {"key": spec["key"]})
        if again and outcome["exit"] != 0:
            raise TaskFailed(spec["key"])
