"""What lies between this computer and others: how far, how fast, and how strong they are, with this person's rights.

Nothing is left at another computer: bytes that are sent are refused there at the end, and those that are read are
files that lie there anyway.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Annotated, TypeVar

import msgspec

from commonhold.api import Network
from commonhold.errors import CommonholdError, NotFound, Refused
from commonhold.lab import probes
from commonhold.plan.values.fitting import spread
from commonhold.plan.values.measured import Reached

T = TypeVar("T")

LEAST = (
    2**19
)  # bytes of a first try, and of a file that is worth reading: less says more of the distance than of the link
MOST = 16 * 2**20  # bytes each way
TRIPS = 8
SHARES = 8  # of a computer that are looked through
LOOKED_AT = 500  # entries of a share
PATIENCE = 30.0  # seconds until another computer must have begun a session, and done its part
MOST_PATIENCE = 40.0  # for any one probe: a while after each has had its own
LOOK = 0.1  # seconds between two looks whether it has
LONGEST = 1e4  # seconds that anybody's fixed computation takes
Readings = Annotated[list[Annotated[float, msgspec.Meta(gt=1e-6, lt=LONGEST)]], msgspec.Meta(min_length=1)]


def reach(net: Network, computer: str, seconds: float, own_speed: float) -> Reached:
    """One other computer, each probe within so many seconds. What it refuses is named in the result, and no error.

    `own_speed` is how long `probes.compute` takes here.
    """
    troubles: list[str] = []

    def tried(what: str, probe: Callable[[], T]) -> T | None:
        try:
            return within(seconds + MOST_PATIENCE, probe)
        except (CommonholdError, OSError) as error:
            sentence = error.sentence if isinstance(error, CommonholdError) else str(error)
            troubles.append(f"{what}: {sentence}")
            return None

    trip = tried("distance", lambda: _round_trip(net, computer, seconds))
    if trip is None:
        return Reached(computer, troubles=tuple(troubles))
    shares = tried("shares", lambda: [entry.path for entry in net.ls(f"{computer}:")][:SHARES]) or []
    sending = tried("sending", lambda: _sending(net, computer, shares, seconds))
    receiving = tried("receiving", lambda: _receiving(net, computer, shares, seconds))
    speed = tried("computing", lambda: _speed(net, computer, seconds, own_speed))
    return Reached(computer, trip, sending, receiving, speed, tuple(troubles))


def within(seconds: float, probe: Callable[[], T]) -> T:
    """What it gives. Raises CommonholdError after so many seconds: another computer may let one wait for ever."""
    found: Future[T] = Future()

    def run() -> None:
        try:
            found.set_result(probe())
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=run, name="probe", daemon=True).start()
    try:
        return found.result(seconds)
    except TimeoutError:
        raise CommonholdError(f"It was not done within {seconds:.0f} s.") from None


def _round_trip(net: Network, computer: str, seconds: float) -> float:
    """The shortest of several: the others waited for something. The first is left out, since it connects."""
    net.ls(f"{computer}:")
    found = []
    for _ in probes.readings(seconds, TRIPS):
        began = time.perf_counter()
        net.ls(f"{computer}:")
        found.append(time.perf_counter() - began)
    return min(found)


def _sending(net: Network, computer: str, shares: list[str], seconds: float) -> float:
    """Bytes a second, to the first share that takes them."""
    refused: Refused | None = None
    for share in shares:
        where = f"{computer}:{share}/commonhold-measuring-{secrets.token_hex(4)}"
        try:
            rate = LEAST / net.send_for_nothing(where, LEAST)
        except Refused as refusal:
            refused = refusal
            continue
        size = int(min(MOST, rate * seconds / 2))
        return size / net.send_for_nothing(where, size) if size > LEAST else rate
    raise refused or NotFound("It shares nothing with this person.")


def _receiving(net: Network, computer: str, shares: list[str], seconds: float) -> float:
    """Bytes a second, from the largest file that is found soon."""
    size, where = max(_files(net, computer, shares), default=(0, ""))
    if size < LEAST:
        raise NotFound("No file of half a megabyte was found to read.")
    received, began = 0, time.perf_counter()
    chunks = net.cat(where)
    for chunk in chunks:
        received += len(chunk)
        if received >= MOST or time.perf_counter() - began > seconds:
            break
    return received / (time.perf_counter() - began)


def _files(net: Network, computer: str, shares: list[str]) -> Iterator[tuple[int, str]]:
    for share in shares:
        try:
            for number, entry in enumerate(net.entries(f"{computer}:{share}", recursive=True)):
                if entry.kind == "file":
                    yield entry.size, f"{computer}:{share}/{entry.path}"
                if number >= LOOKED_AT or entry.size >= MOST:
                    break
        except Refused:
            continue


def _speed(net: Network, computer: str, seconds: float, own: float) -> float:
    """How many times as fast as here the fixed computation is there. A computer that is busy has no time for guests.

    As a command, whose answer is text: to open what a function returns is to trust whoever computed it.
    """
    words = ["python", "-I", "-m", probes.__name__, str(seconds)]
    number = net.run(words, on=computer, timeout=seconds + PATIENCE, wait=False).job
    deadline = time.monotonic() + seconds + PATIENCE
    try:
        while (job := net.job(number)).ended is None:
            if time.monotonic() > deadline:
                raise CommonholdError(f"It had no processor free for guests within {PATIENCE:.0f} s.")
            time.sleep(LOOK)
    finally:
        with suppress(CommonholdError):  # it has ended
            net.cancel(number)
    if not job.done:
        raise CommonholdError(f"The fixed computation failed there: commonhold log {number}")
    (task,) = net.log(number)
    return own / spread(told(task.output)).middle


def told(text: str) -> list[float]:
    """The seconds that another computer says it took, which may say anything. Raises CommonholdError for nonsense."""
    try:
        return msgspec.json.decode(text, type=Readings)
    except (ValueError, RecursionError):
        raise CommonholdError("It did not answer as the fixed computation does.") from None
