"""A node under load that is killed, again and again, and what is on the disk whenever it comes back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import psutil

from commonhold.errors import Unreachable

from ..conftest import PATIENCE
from .rig import Program, Rig, Vanishing, shelf
from .wishes import HISTORY, UNDO, Part, Shelf, Wish, back, drawn, put, whole

WORKERS = 6
SOON, LATE = 0.03, 0.45  # seconds of load until the kill
AGAIN, STARTED = 0.15, 0.6  # how often a node is killed as it starts, and seconds until it has started
ALWAYS = "always"  # a file that is overwritten all the time, and never gone


@dataclass
class Worker:
    """Somebody who changes a folder of their own all the time, and remembers what was acknowledged."""

    name: str
    dice: Random
    there: Shelf = field(default_factory=dict)
    asked: Wish | None = None  # and not answered yet
    heard: bytearray = field(default_factory=bytearray)  # of the answer
    acknowledged: int = 0
    left: Part | None = None  # an upload that broke off

    def wishes(self) -> list[Wish]:
        left, self.left = self.left, None
        if left and left.path not in self.there and self.dice.random() < 0.5:
            return [replace(left, cut=0, after={**self.there, left.path: left.body})]
        return drawn(self.dice, self.there)

    async def work(self, program: Program) -> None:
        """Until the connection breaks. Raises Unreachable then."""
        while True:
            for wish in self.wishes():
                self.asked, self.heard = wish, bytearray()
                answer = await program.ask(wish, f"{self.name}/", self.heard)
                done = answer.status in {200, 201, 204} and not wish.trouble(answer.body)
                assert done, f"{wish.method} {wish.root}{wish.path}: {answer}"
                self.there, self.asked = wish.after, None
                self.acknowledged += 1

    def take_up(self, found: Shelf) -> None:
        """What was acknowledged is there, and of what was not, all or nothing."""
        right = self.asked.allows(self.there, found, bytes(self.heard)) if self.asked else found == self.there
        assert right, self.told(found)
        self.left = self.asked if isinstance(self.asked, Part) else None
        self.there, self.asked = found, None

    def told(self, found: Shelf) -> str:
        wanted = {path: content and len(content) for path, content in self.there.items()}
        differing = {
            path: (wanted.get(path, "nothing"), content and len(content))
            for path, content in found.items()
            if content != self.there.get(path, b"?")
        }
        lost = sorted(wanted.keys() - found.keys())
        asked = self.asked and (self.asked.method, self.asked.root, self.asked.path, self.asked.to)
        return f"{self.name}: lost {lost}; other than acknowledged {differing}; under way was {asked}"


class Overwriter(Worker):
    """Always the same name."""

    def wishes(self) -> list[Wish]:
        wishes = put(self.dice, self.there, ALWAYS, 50_000)
        if self.there and self.dice.random() < 0.4:
            wishes.append(back(ALWAYS, self.there, self.dice.choice([HISTORY, UNDO])))
        return wishes


class Onlooker:
    """Reads the name that is always overwritten on the disk, all the time."""

    def __init__(self, file: Path) -> None:
        self.looks = 0
        self.troubles: list[str] = []
        self._file, self._over = file, threading.Event()
        self._gone = Vanishing(file.parent)
        self._looking = threading.Thread(target=self._look)
        self._looking.start()

    def _look(self) -> None:
        while not self._over.wait(0.002):
            try:
                if not whole(self._file.read_bytes()):
                    self.troubles.append("a mixture was read")
            except OSError as error:
                self.troubles.append(str(error))
            self.looks += 1

    def end(self) -> None:
        self._over.set()
        self._looking.join()
        self.troubles += [f"{name} was gone for an instant" for name in self._gone.names()]
        self._gone.close()


class Torture:
    def __init__(self, rig: Rig, seed: int) -> None:
        self.rig = rig
        self.dice = Random(seed)
        dice = [Random(f"{seed} {number}") for number in range(WORKERS)]
        self.workers = [Overwriter("w0", dice[0]), *(Worker(f"w{n}", dice[n]) for n in range(1, WORKERS))]
        for worker in self.workers:
            (rig.shared / worker.name).mkdir()
        (wish,) = self.workers[0].wishes()
        assert asyncio.run(rig.ask(wish, "w0/")).status == 201
        self.workers[0].there = wish.after
        self.onlooker = Onlooker(rig.shared / "w0" / ALWAYS)

    async def round(self) -> None:
        """Load, a kill at a random moment, a new start; and nothing is lost, torn or left over."""
        async with self.rig.program() as program:
            work = [asyncio.create_task(worker.work(program)) for worker in self.workers]
            await asyncio.sleep(self.dice.uniform(SOON, LATE))
            self.kill()
            ends = await asyncio.gather(*work, return_exceptions=True)
        for end in ends:
            if not isinstance(end, Unreachable):
                raise end  # type: ignore[misc]
        if self.dice.random() < AGAIN:
            self.kill_as_it_starts(self.dice.uniform(0, STARTED))
        await asyncio.to_thread(self.rig.tower.up)
        await self.check()

    def kill(self) -> None:
        node = psutil.Process(self.rig.tower.pid)
        os.kill(node.pid, signal.SIGKILL)
        node.wait(PATIENCE)

    def kill_as_it_starts(self, after: float) -> None:
        """What puts the last kill's remains in order may be killed, too."""
        words = self.rig.tower.words("up", "--foreground")
        node = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(after)
        node.kill()
        node.wait()

    async def check(self) -> None:
        for worker in self.workers:
            worker.take_up(shelf(self.rig.shared / worker.name))
        assert not self.rig.rubbish(), self.rig.rubbish()
        assert not self.rig.astray(), self.rig.astray()
        assert not self.onlooker.troubles, self.onlooker.troubles
        await self._charged()

    async def _charged(self) -> None:
        """When somebody seems to have no room, the ledger of quotas follows the disk, whatever a kill kept from it."""
        await self.rig.counted_anew()
        known = self.rig.charged()
        lying = {
            f"{worker.name}/{path}": len(content or b"")
            for worker in self.workers
            for path, content in worker.there.items()
        }
        differing = sorted(path for path in {*lying, *known} if lying.get(path) != known.get(path))
        told = [f"{path}: {lying.get(path)} bytes, charged {known.get(path)}" for path in differing]
        assert not differing, f"the ledger is wrong: {told}"

    @property
    def acknowledged(self) -> int:
        return sum(worker.acknowledged for worker in self.workers)
