"""Acknowledged means on the disk: the order of the system calls of a real node shows it, for every kind of request.

`kill -9` cannot: the page cache survives it and would hide a missing fsync.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from .rig import Rig
from .traces import NAMES, SYNCS, WRITES, Step, Trace, fault
from .wishes import LARGE, SMALL, Batch, Wish, bundle

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

WRITTEN = Step("its bytes were written", WRITES, ("/.commonhold/tmp/",), last=True)
SYNCED = Step("its bytes were synced", SYNCS, ("/.commonhold/tmp/",))
FOLDER = Step("the folder was synced", SYNCS, ("/shared/here>",))
KEPT = "/.commonhold/versions/"
ROW = Step("the version was written down", ("fdatasync", "fsync"), ("/files.db-wal>",))
LINKED = Step("the version was linked", ("linkat",), (KEPT,))
STORE = Step("the folder of versions was synced", SYNCS, (KEPT,))
INNER = Step("the inner folder was synced", SYNCS, ("/shared/here/f>",))
WAY = Step("the name was given", ("renameat2",), ("/shared/here>", "/shared/here/f>"))
TRADED = Step("the name was given", ("renameat2",), (KEPT, "/shared/here>", '"l"'))
LEFT = Step("the former name was taken away", ("renameat", "rename"), ("/shared/here>", '"s"', KEPT))
TREE = Step("the copied folder was synced", SYNCS, ("/.commonhold/tmp/", "/copy>"))


def named(*pieces: str) -> Step:
    return Step("the name was given", NAMES, ("/shared/here>", *pieces))


def renamed(name: str) -> Step:
    return Step("the name was given", ("rename", "renameat", "renameat2"), ("/.commonhold/tmp", "/shared/here>", name))


def put(name: str, size: int) -> Wish:
    return Wish("PUT", name, {}, bytes(size))


# What is asked, and what must have happened before the answer, in this order.
CASES: dict[str, tuple[Wish, tuple[Step, ...]]] = {
    "put small": (put("s", SMALL), (WRITTEN, SYNCED, named('"s"'), FOLDER)),
    "put large": (put("l", LARGE), (WRITTEN, SYNCED, named('"l"'), FOLDER)),
    "overwrite small": (put("s", SMALL), (WRITTEN, SYNCED, ROW, LINKED, STORE, renamed('"s"'), FOLDER)),
    "overwrite large": (put("l", LARGE), (WRITTEN, SYNCED, ROW, LINKED, STORE, renamed('"l"'), FOLDER)),
    "make a folder": (Wish("MKCOL", "f", {}), (named('"f"'), FOLDER)),
    "move a file": (Wish("MOVE", "s", {}, to="m"), (named('"s"', '"m"'), FOLDER)),
    "move into a folder": (Wish("MOVE", "m", {}, to="f/m"), (WAY, INNER, FOLDER)),
    "copy a folder": (Wish("COPY", "f", {}, to="g"), (WRITTEN, SYNCED, TREE, named('"g"'), FOLDER)),
    "move out of a folder": (Wish("MOVE", "f/m", {}, to="s"), (WAY, FOLDER, INNER)),
    "move over a file": (Wish("MOVE", "s", {}, to="l"), (ROW, LINKED, STORE, TRADED, FOLDER, LEFT, FOLDER)),
    "copy a file": (Wish("COPY", "l", {}, to="s"), (WRITTEN, SYNCED, named('"s"'), FOLDER)),
    "copy over a file": (Wish("COPY", "l", {}, to="s"), (WRITTEN, SYNCED, ROW, LINKED, STORE, renamed('"s"'), FOLDER)),
    "a batch": (
        bundle({"b1": b"one", "b2": b"two"}, {}),
        (WRITTEN, SYNCED, named('"b1"'), named('"b2"'), FOLDER),
    ),
    "delete a file": (Wish("DELETE", "s", {}), (ROW, named('"s"', KEPT), STORE, FOLDER)),
    "delete a folder": (Wish("DELETE", "f", {}), (ROW, named('"f"', KEPT), STORE, FOLDER)),
}


@pytest.fixture(scope="module")
def seen(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What tower's node did for each case."""
    (rig.shared / "here").mkdir()
    file: Path = tmp_path_factory.mktemp("traces") / "calls"

    async def ask() -> list[list[str]]:
        async with rig.program() as program:
            trace = Trace(rig.tower, file)
            for wish, _ in CASES.values():
                answer = await program.ask(wish, "here/")
                assert answer.status in {200, 201, 204}, answer
            requests = zip(CASES.values(), trace.requests(len(CASES)), strict=True)
            return [until_acknowledged(trace, calls, wish) for (wish, _), calls in requests]

    return dict(zip(CASES, asyncio.run(ask()), strict=True))


def until_acknowledged(trace: Trace, calls: list[str], wish: Wish) -> list[str]:
    """To the first byte of the answer; the head of a batch's answer says nothing yet, its first line does."""
    answers = [number for number, line in enumerate(calls) if trace.answers(line)]
    return calls[: answers[1 if isinstance(wish, Batch) else 0] + 1]


@pytest.mark.parametrize("case", CASES)
def test_what_is_acknowledged_is_on_the_disk(seen: dict[str, list[str]], case: str):
    assert not fault(seen[case], CASES[case][1]), "\n".join(seen[case])


@pytest.mark.parametrize("case", CASES)
def test_a_call_less_or_an_answer_earlier_would_be_noticed(seen: dict[str, list[str]], case: str):
    """Of what the test above looks at: the same calls, but for each step as if it had not been taken, or not yet."""
    calls, steps = seen[case], CASES[case][1]
    for step in steps:
        without = [line for line in calls if not step.meets(line)]
        assert fault(without, steps) == f"answered before {step.what}"
        first = next(number for number, line in enumerate(calls) if step.meets(line))
        assert fault(calls[:first] + calls[-1:], steps)
