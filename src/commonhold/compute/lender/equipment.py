"""Environments of the people who compute here: fetched and unpacked before their sessions come, and kept for the next.

A person's are seen by sessions of that person alone. They are unpacked in a sandbox of their own, in which no code of a
guest runs, and sessions see them without being able to write: none can put anything into the next one's.
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from packaging.tags import Tag, sys_tags

from commonhold.compute import fairness
from commonhold.compute.environment import Environment, Wheel, unfit
from commonhold.compute.papers import PYTHON, Equipped
from commonhold.compute.sandbox import Kind, Sandbox
from commonhold.compute.sandboxed.unpacking import BLOCK, WHEELS
from commonhold.compute.wheels import Wheelhouse
from commonhold.errors import CommonholdError, NoSpace, Refused, Unreachable, WrongUsage, from_problem
from commonhold.names import PersonId
from commonhold.trees import erase

MOST_KEPT = 32 * 2**30  # bytes of all environments here
SHARE_OF_DISK = 4  # and not more than one part in so many of what is free
ANSWER_WITHIN = 5.0  # seconds until who asks for one hears how far it is
FORGOTTEN_AFTER = 20.0  # seconds without anybody asking for it until it is given up
UNPACKED_WITHIN = 900.0  # seconds
UNPACKED, LITTLE = 4, 2**26  # how many times larger wheels may become, and how many bytes more


class Source(Protocol):
    """Where wheels come from: the hub of a session, or this computer's own disk."""

    def read(self, wheel: Wheel, start: int) -> AbstractAsyncContextManager[AsyncIterator[bytes]]: ...


class Equipment:
    """`FOLDER/PERSON/KIND-DIGEST` is one environment."""

    def __init__(self, folder: Path, computer: str, owner: PersonId, most: Callable[[], int]) -> None:
        """`most` says how many bytes of the disk the terms lend in all, 0 if they say nothing: guests' may take half.

        Those of the computer's `owner` are no guest's, and bound by what is free alone.
        """
        self._folder = folder
        self._computer = computer
        self._owner = owner
        self._most = most
        self._sizes: dict[Path, int] = {}  # of those that are whole
        self._used: Counter[Path] = Counter()
        self._coming: dict[Path, _Coming] = {}
        self._promised: dict[Path, int] = {}  # bytes of those that come
        self.sizing = asyncio.Lock()  # what is promised to one is nobody else's
        self.turn = asyncio.Lock()  # they are unpacked one after the other: it takes a core, and memory

    @property
    def kept(self) -> int:
        """Bytes that those of guests take of the disk."""
        return sum(self._of(owner=False).values())

    def _of(self, owner: bool) -> dict[Path, int]:
        """Those of the owner, or of all others, with their sizes."""
        known = list(self._sizes.items())  # who watches the disk asks in a thread of their own
        return {place: size for place, size in known if (place.parent.name == self._owner) is owner}

    async def start(self) -> None:
        """Clear what a node that was killed left half done."""
        await asyncio.to_thread(self._tidy)

    def _tidy(self) -> None:
        for each in [*self._folder.glob("*/.*"), *self._folder.glob("*/*-*")]:
            if _whole(each):
                self._sizes[each] = _said_size(each)
            else:
                erase(each)

    def require_fit(self, environment: Environment | None) -> None:
        """Raise WrongUsage for what is no environment, or one for other computers than this."""
        if environment is None:
            return
        environment.check()
        if why := unfit(environment, self._computer, PYTHON, platform.machine(), _tags()):
            raise WrongUsage(why, "make the environment on a computer like it, or name another with --on")

    async def prepare(self, person: PersonId, environment: Environment, kind: Kind, source: Source) -> Equipped:
        """How far it is after a few seconds: who asks again and again has it in the end. Raises why it never will."""
        place = self._place(person, environment, kind)
        if await asyncio.to_thread(_whole, place):
            return Equipped(ready=True)
        coming = self._coming.get(place)
        if coming is None:
            if sum(each.parent == place.parent for each in self._coming) >= fairness.MOST_OF_ONE:
                raise Refused(
                    f"{self._computer} gets {fairness.MOST_OF_ONE} environments of one person at a time.",
                    "try again when one of them is there",
                )
            house = Wheelhouse(place.parent / WHEELS)
            coming = self._coming[place] = _Coming(self, place, environment, kind, house, source)
        ready = await coming.wait(ANSWER_WITHIN)
        return Equipped(ready, coming.left)

    def over(self, place: Path) -> None:
        """It has come, or it failed: who asks again begins anew."""
        self._coming.pop(place, None)
        self._promised.pop(place, None)

    def enter(self, person: PersonId, environment: Environment, kind: Kind) -> Path:
        """It is in use until `leave`: the folder that a session sees. Raises Unreachable when it is not here."""
        place = self._place(person, environment, kind)
        if not _whole(place):
            raise Unreachable("The environment is not unpacked.")
        os.utime(place)
        self._used[place] += 1
        return place / "environment"

    def leave(self, folder: Path) -> None:
        self._used[folder.parent] -= 1

    async def close(self) -> None:
        for coming in list(self._coming.values()):
            await coming.stop()

    def _place(self, person: PersonId, environment: Environment, kind: Kind) -> Path:
        return self._folder / person / f"{kind}-{environment.digest}"

    def seal(self, place: Path) -> None:
        """It is whole: that is written last, with its size."""
        size = _weight(place / "environment")
        (place / "whole").write_text(str(size))
        self._sizes[place] = size

    def _forget(self, place: Path) -> None:
        erase(place)
        self._sizes.pop(place, None)

    def room_for(self, environment: Environment, place: Path) -> int:
        """Remove what was not used for longest. -> Bytes that it may have unpacked. Raises NoSpace.

        What others that come were promised is theirs. Of wheels that came for earlier ones and were not unpacked
        nothing stays: somebody could begin one after the other.
        """
        self._forget(place)
        own = place.parent.name == self._owner
        coming = [each.environment for there, each in list(self._coming.items()) if there.parent == place.parent]
        Wheelhouse(place.parent / WHEELS).forget_others({wheel.sha256 for each in coming for wheel in each.wheels})
        sizes = self._of(owner=own)
        promised = sum(
            size
            for other, size in list(self._promised.items())
            if other != place and (other.parent.name == self._owner) is own
        )
        lent = 0 if own else self._most() // 2
        most = min(lent or MOST_KEPT, (shutil.disk_usage(self._folder).free + sum(sizes.values())) // SHARE_OF_DISK)
        wanted = min(most, UNPACKED * environment.size + LITTLE)
        for each in sorted(sizes, key=lambda each: each.stat().st_mtime):
            if promised + sum(sizes.values()) + wanted <= most:
                break
            if not self._used[each]:
                self._forget(each)
                del sizes[each]
        room = most - promised - sum(sizes.values())
        if room < environment.size:
            raise NoSpace(f"{self._computer} has {max(room, 0)} bytes for environments, and this one needs more.")
        self._promised[place] = min(wanted, room)
        return room


class _Coming:
    """One that is on its way, for as long as somebody asks for it."""

    def __init__(
        self, equipment: Equipment, place: Path, environment: Environment, kind: Kind, house: Wheelhouse, source: Source
    ) -> None:
        self._equipment, self._place, self._kind = equipment, place, kind
        self.environment = environment
        self._house, self._source = house, source
        self.left = environment.size  # bytes still to be fetched
        self._asked = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._come())
        self._task.add_done_callback(self._over)
        self._watching = asyncio.create_task(self._watch())

    def _over(self, task: asyncio.Task[None]) -> None:
        self._equipment.over(self._place)
        if not task.cancelled():
            task.exception()  # nobody may be waiting for it

    async def wait(self, seconds: float) -> bool:
        """Whether it has come within so many seconds. Raises what went wrong."""
        self._asked = asyncio.get_running_loop().time()
        await asyncio.wait({self._task}, timeout=seconds)
        self._asked = asyncio.get_running_loop().time()
        if not self._task.done() or self._task.cancelled():
            return False
        self._task.result()
        return True

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        while not self._task.done():
            await asyncio.wait({self._task}, timeout=1.0)
            if asyncio.get_running_loop().time() - self._asked > FORGOTTEN_AFTER:
                self._task.cancel()

    async def _come(self) -> None:
        scratch = self._place.parent / f".{secrets.token_hex(8)}"
        room = scratch / "room"
        try:
            await asyncio.to_thread((room / WHEELS).mkdir, parents=True, mode=0o700)
            await self._room()
            for wheel in self.environment.wheels:
                await self._fetch(wheel)
                await asyncio.to_thread(self._house.file(wheel).rename, room / WHEELS / wheel.name)
            async with self._equipment.turn:  # there may be less room than when it began
                most = await self._room()
                await asyncio.to_thread((self._place / "environment").mkdir, parents=True, mode=0o700)
                await _unpacked(room, self._place / "environment", self._kind, most)
                await asyncio.to_thread(self._equipment.seal, self._place)
        except OSError as error:
            raise CommonholdError(f"The environment cannot be stored: {error.strerror}.") from error
        finally:
            await asyncio.to_thread(erase, scratch)

    async def _room(self) -> int:
        async with self._equipment.sizing:
            return await asyncio.to_thread(self._equipment.room_for, self.environment, self._place)

    async def _fetch(self, wheel: Wheel) -> None:
        """What came of it before is not fetched again."""
        if await asyncio.to_thread(self._house.has, wheel):
            self.left -= wheel.size
            return
        start = await asyncio.to_thread(self._house.begun, wheel)
        self.left -= start
        with await asyncio.to_thread(self._house.begin, wheel, start) as file:
            if start < wheel.size:
                async with self._source.read(wheel, start) as pieces:
                    async for piece in pieces:
                        self.left -= len(piece)
                        start += len(piece)
                        if start > wheel.size:
                            break
                        await asyncio.to_thread(file.write, piece)
            await asyncio.to_thread(self._house.finish, wheel, file)


async def _unpacked(room: Path, place: Path, kind: Kind, most: int) -> None:
    """Run unpacking.py in a sandbox. Raises what it says."""
    said: dict[str, Any] = {}

    async def hear(_: str, words: dict[str, Any]) -> None:
        said.update(words)
        heard.set()

    heard = asyncio.Event()
    box = await Sandbox.start(room, hear, kind, environment=place, writable=True)
    serving = asyncio.create_task(box.channel.serve())
    try:
        box.channel.tell("orders", me="e0", authority="", certificate="", key="", idle=True, unpack=most)
        async with asyncio.timeout(UNPACKED_WITHIN):
            await serving  # it speaks until it ends
            await box.wait()
    except TimeoutError:
        raise NoSpace("The environment took too long to unpack.") from None
    finally:
        box.kill()
        serving.cancel()
    if not heard.is_set():
        raise CommonholdError("The environment cannot be unpacked: the process that did it ended.")
    if isinstance(problem := said.get("problem"), dict):
        raise from_problem(problem, 500)


def _whole(place: Path) -> bool:
    return (place / "whole").is_file()


def _said_size(place: Path) -> int:
    with suppress(OSError, ValueError):
        return int((place / "whole").read_text())
    return 0


def _weight(folder: Path) -> int:
    """Bytes of all files below; no link is followed."""
    size = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                size += _weight(Path(entry.path))
            else:
                size += max(entry.stat(follow_symlinks=False).st_size, BLOCK)
    return size


@cache
def _tags() -> frozenset[Tag]:
    """Of the wheels that this interpreter takes."""
    return frozenset(sys_tags())
