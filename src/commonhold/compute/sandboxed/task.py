"""Runs one task, inside a worker: fetch its inputs, run its command in a folder of its own, store what it left.

Dask finds `perform` by its name (engine.py), so that no code travels. The node does the fetching and
storing: this process has neither network nor rights, it only names the task by its key.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from commonhold.compute.channel import Channel
from commonhold.compute.job import parts_of
from commonhold.compute.said import LEAST_PIECE, MOST_SAID, STREAMS, Listening, Piece, cut_out
from commonhold.compute.sandboxed import orphans
from commonhold.compute.sandboxed.grants import Grants
from commonhold.compute.sandboxed.printed import Printout
from commonhold.compute.sandboxed.turnstile import Turnstile
from commonhold.errors import CommonholdError, NotFound, Refused, Unreachable

PULSE = 1.0  # seconds: who waited much longer than that has not run meanwhile
WORK = "work"  # tasks' folders lie in it, in the process's own, each named by its key
TROUBLES = ((Unreachable, "unreachable"), (Refused, "refused"))  # that are no fault of the task


class RunningCommand(NamedTuple):
    """One that runs."""

    process: subprocess.Popen[bytes]
    printed: tuple[Printout, Printout]


class Launched:
    """The commands of this process's tasks that run, by their keys. A job that is over runs none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, RunningCommand] = {}
        self._over: set[int] = set()
        self._stopped: dict[str, str] = {}  # why, by key

    @contextlib.contextmanager
    def started(self, key: str, command: RunningCommand) -> Iterator[None]:
        """What it left running in the background ends with it."""
        with self._lock:
            self._running[key] = command
            over = parts_of(key)[0] in self._over
        try:
            if over:
                kill(command.process)
            yield
        finally:
            with self._lock:
                del self._running[key]
            kill(command.process)
            command.process.wait()
            self._end_orphans()

    def _end_orphans(self) -> None:
        found = orphans.taken_in()
        if found:
            with self._lock:
                running = {key: command.process.pid for key, command in self._running.items()}
            orphans.end(found, running)

    def stop(self, key: str, why: str) -> None:
        """Kill that one: it has taken too much of the disk."""
        with self._lock:
            if key in self._running:
                self._stopped[key] = why
                kill(self._running[key].process)

    def why(self, key: str) -> str:
        """Why it was stopped, if it was."""
        with self._lock:
            return self._stopped.pop(key, "")

    def tidy(self) -> None:
        """What they print is not to fill the disk, and what they left behind is to end. Called now and then."""
        with self._lock:
            running = list(self._running.values())
        for command in running:
            for printed in command.printed:
                printed.shorten()
        self._end_orphans()

    def said(self, job: int, asked: Listening) -> list[Piece]:
        """What is new of what that job's commands print."""
        with self._lock:  # while it is read, none ends
            meant = {key: command for key, command in self._running.items() if asked.means(job, parts_of(key))}
            most = max(LEAST_PIECE, MOST_SAID // max(1, len(STREAMS) * len(meant)))
            pieces = []
            for key, (process, printed) in meant.items():
                run, *known = asked.heard.get(key, (0, 0, 0))
                for stream, place, printout in zip(
                    STREAMS, known if run == process.pid else (0, 0), printed, strict=True
                ):
                    at, data = printout.since(place, most)
                    pieces.append(cut_out(key, process.pid, stream, at, data, at > place))
        return [piece for piece in pieces if piece is not None]

    def forget(self, job: int) -> None:
        """Kill them, and those that start late."""
        with self._lock:
            self._over.add(job)
            for key, command in self._running.items():
                if parts_of(key)[0] == job:
                    kill(command.process)

    def learn(self, job: int) -> None:
        with self._lock:
            self._over.discard(job)

    def require(self, job: int) -> None:
        """Raise NotFound when it is over."""
        if job in self._over:
            raise NotFound(f"Job {job} is over.")


def kill(process: subprocess.Popen[bytes]) -> None:
    """It and all that it started in its group, now."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


class LenderLine:
    """This worker's node, for tasks in their threads."""

    def __init__(self, channel: Channel, loop: asyncio.AbstractEventLoop, folder: str, computer: str) -> None:
        self._channel = channel
        self._loop = loop
        self.work = Path(folder) / WORK
        self.computer = computer
        self.work.mkdir(exist_ok=True)
        self.turnstile = Turnstile()
        self.commands = Launched()
        self.grants = Grants()  # of memory, to those that have asked for some
        self._empty: list[Path] = []
        self._lock = threading.Lock()

    def room(self, name: str) -> Path:
        """An empty folder of that name."""
        folder = self.work / name
        with self._lock:
            if folder in self._empty:  # an earlier try's
                self._empty.remove(folder)
                return folder
            shutil.rmtree(folder, ignore_errors=True)
            if self._empty:
                return self._empty.pop().rename(folder)
        folder.mkdir()
        return folder

    def leave(self, folder: Path) -> None:
        """Remove what a task left. An empty folder is kept for the next task: rmdir costs 0.45 ms, a rename 0.02."""
        try:
            with os.scandir(folder) as entries:
                empty = next(entries, None) is None
            if empty:
                with self._lock:
                    if folder not in self._empty:
                        self._empty.append(folder)
                return
        except OSError:
            pass
        shutil.rmtree(folder, ignore_errors=True)

    def tell(self, what: str, **words: Any) -> None:
        self._loop.call_soon_threadsafe(lambda: self._channel.tell(what, **words))

    def ask(self, what: str, **words: Any) -> Any:
        """The node's answer; raises the problem that it reports."""
        return asyncio.run_coroutine_threadsafe(self._channel.ask(what, **words), self._loop).result()


def perform(node: LenderLine, spec: dict[str, Any]) -> dict[str, Any]:
    """Run one task. It never raises: what went wrong is in `problem`, and then `exit` is None.

    spec: key, words, timeout, cores, memory (bytes that it has asked for), fetch (whether it has an input file), alone
    (whether nothing may run beside it).
    """
    with node.turnstile.passed(spec["alone"], spec["cores"]):
        began = time.monotonic()
        outcome: dict[str, Any] = {"exit": None, "computer": node.computer}
        key = spec["key"]
        folder = node.work / key
        try:
            node.commands.require(parts_of(key)[0])
            if spec["memory"]:
                node.grants.wait(key, lambda: node.tell("needs", key=key))
                node.commands.require(parts_of(key)[0])
            node.room(key)
            if spec["fetch"]:
                node.ask("fetch", key=key)
            outcome |= _run(node, spec, folder)
            # What a lender ended for taking too much is not to fill another disk: it is why there is a bound.
            if not outcome.pop("ended", False) and any(folder.iterdir()):
                outcome["outputs"] = node.ask("store", key=key, outcome=outcome)
        except CommonholdError as error:
            trouble = next((word for kind, word in TROUBLES if isinstance(error, kind)), "")
            outcome |= {"exit": None, "problem": error.sentence, "trouble": trouble}
        except OSError as error:
            outcome |= {"exit": None, "problem": f"It could not be run: {error.strerror or error}."}
        finally:
            node.leave(folder)
            if spec["memory"]:
                node.tell("ended", key=key)
        return outcome | {"seconds": time.monotonic() - began}


def _run(node: LenderLine, spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Exit status and what it printed."""
    outside = folder.parent
    with Printout(outside) as output, Printout(outside) as error:
        result = _exit_of(node, spec, folder, output, error)
        return result | {"output": output.text(), "error": error.text()}


def _waited_for(process: subprocess.Popen[bytes], timeout: float | None) -> int:
    """Its status. Raises TimeoutExpired after so many seconds; those in which we were frozen do not count."""
    left = timeout
    while left is not None and left > 0:
        began = time.monotonic()
        try:
            return process.wait(min(left, PULSE))
        except subprocess.TimeoutExpired:
            took = time.monotonic() - began
            left -= took if took < 2 * PULSE else PULSE
    return process.wait(left)


def _exit_of(node: LenderLine, spec: dict[str, Any], folder: Path, output: Printout, error: Printout) -> dict[str, Any]:
    words, timeout, key = spec["words"], spec["timeout"], spec["key"]
    try:
        process = subprocess.Popen(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output.fileno(),
            stderr=error.fileno(),
            env=os.environ | {orphans.TASK: key},
            process_group=0,
        )
    except (FileNotFoundError, PermissionError):
        return {"exit": 127, "problem": f"There is no program “{words[0]}” on this computer."}
    if spec["memory"]:
        node.tell("began", key=key, group=process.pid)
    with node.commands.started(key, RunningCommand(process, (output, error))):
        try:
            status = _waited_for(process, timeout)
        except subprocess.TimeoutExpired:
            return {"exit": None, "problem": f"It was stopped after {timeout:g} s, as the job says."}
    if status == -signal.SIGKILL and (why := node.commands.why(key) or node.ask("why", group=process.pid)):
        return {"exit": None, "problem": why, "ended": True}
    return {"exit": status if status >= 0 else 128 - status}  # as shells say it: 128 + signal
