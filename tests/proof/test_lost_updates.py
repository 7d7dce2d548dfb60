"""Nothing is lost because several change one file: whoever does not know of the last change changes nothing."""

from __future__ import annotations

import asyncio
import itertools
import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from commonhold.errors import Conflict

from .rig import Program, Rig
from .wishes import Wish

TURNS = 12
WRITERS = 4


async def read(program: Program, path: str) -> tuple[bytes, str]:
    answer = await program.ask(Wish("GET", path, {}))
    assert answer.status == 200, answer
    return answer.body, answer.etag


async def write(program: Program, path: str, body: bytes, **conditions: str) -> int:
    """Its status; `if_match="…"` is a header."""
    headers = {name.replace("_", "-"): value for name, value in conditions.items()}
    return (await program.ask(Wish("PUT", path, {}, body, headers))).status


async def add_lines(program: Program, path: str, who: str) -> None:
    """Read, add a line, write if nobody wrote meanwhile; else again."""
    for turn in range(TURNS):
        status = 412
        while status == 412:
            before, etag = await read(program, path)
            status = await write(program, path, before + f"{who} {turn}\n".encode(), if_match=etag)
        assert status == 204


def test_of_many_who_change_one_file_nobody_loses_a_line(rig: Rig):
    (rig.shared / "lines").write_bytes(b"")

    async def all_at_once() -> None:
        async with rig.program() as program:
            await asyncio.gather(*(add_lines(program, "lines", f"w{number}") for number in range(WRITERS)))

    asyncio.run(all_at_once())
    lines = (rig.shared / "lines").read_text().splitlines()
    assert sorted(lines) == sorted(f"w{number} {turn}" for number in range(WRITERS) for turn in range(TURNS))


def test_our_own_client_keeps_both_versions_where_another_was_faster(rig: Rig, tmp_path: Path):
    """bob's computer gets, edits and puts, and a program of his does the same by If-Match: no line is lost."""
    (rig.shared / "both").write_bytes(b"")
    local = tmp_path / "both"
    rig.laptop.up()

    def edit() -> int:
        kept = 0
        for turn in range(TURNS):
            local.unlink(missing_ok=True)
            rig.laptop.net.get("tower:shared/both", local)
            with local.open("a") as file:
                file.write(f"laptop {turn}\n")
            try:
                rig.laptop.net.put(local, "tower:shared/both")
            except Conflict:
                kept += 1
        return kept

    async def both_at_once() -> int:
        async with rig.program() as program:
            editing = asyncio.create_task(asyncio.to_thread(edit))
            await add_lines(program, "both", "program")
            return await editing

    try:
        kept = asyncio.run(both_at_once())
    finally:
        rig.laptop.down()
    copies = list(rig.shared.glob("both (conflict of laptop*"))
    assert len(copies) == kept
    lines = {line for path in (rig.shared / "both", *copies) for line in path.read_text().splitlines()}
    assert lines == {f"{who} {turn}" for who in ("laptop", "program") for turn in range(TURNS)}


def test_of_many_who_make_one_file_one_does(rig: Rig):
    async def all_at_once(path: str) -> list[int]:
        async with rig.program() as program:
            making = (write(program, path, b"by %d" % number, if_none_match="*") for number in range(8))
            return await asyncio.gather(*making)

    for again in range(5):
        statuses = asyncio.run(all_at_once(f"made{again}"))
        assert sorted(statuses) == [201, *[412] * 7]
        assert (rig.shared / f"made{again}").read_bytes() == b"by %d" % statuses.index(201)


def test_a_delete_that_does_not_know_of_the_last_change_deletes_nothing(rig: Rig):
    async def one_after_the_other() -> list[int]:
        async with rig.program() as program:
            await write(program, "gone", b"one")
            _, etag = await read(program, "gone")
            await write(program, "gone", b"two")
            late = await program.ask(Wish("DELETE", "gone", {}, headers={"If-Match": etag}))
            _, etag = await read(program, "gone")
            return [late.status, (await program.ask(Wish("DELETE", "gone", {}, headers={"If-Match": etag}))).status]

    assert asyncio.run(one_after_the_other()) == [412, 204]


# -- the owner's own programs, which know nothing of us


def in_place(path: Path, new: bytes) -> None:
    with path.open("r+b") as file:
        file.write(new)


def beside_and_renamed(path: Path, new: bytes) -> None:
    beside = path.with_name(".saving")
    beside.write_bytes(new)
    beside.rename(path)


def in_memory(path: Path, new: bytes) -> None:
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[:] = new
        memory.flush()


def with_the_old_time(change: Callable[[Path, bytes], None]) -> Callable[[Path, bytes], None]:
    def changed(path: Path, new: bytes) -> None:
        before = path.stat()
        change(path, new)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    return changed


EDITORS = [in_place, beside_and_renamed, in_memory]


@pytest.mark.parametrize("editor", [*EDITORS, *map(with_the_old_time, EDITORS)], ids=itertools.count())
def test_a_change_underneath_is_noticed_at_the_same_size_and_time_too(rig: Rig, editor):
    async def edited() -> tuple[int, bytes]:
        async with rig.program() as program:
            await write(program, "letter", b"one")
            _, etag = await read(program, "letter")
            editor(rig.shared / "letter", b"two")
            return await write(program, "letter", b"mine", if_match=etag), (await read(program, "letter"))[0]

    assert asyncio.run(edited()) == (412, b"two")
