"""Memory of guests that their processes' own counts do not show: files in memory that have no name.

A process makes one by memfd_create(2), or with a mapping that others may share. What lies in it stays while anybody
has it open or mapped, though nobody has looked at it of late (madvise). Those that are only on their way from one
process to another, or mapped in part, are not seen here.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache

BLOCK = 512  # bytes: what st_blocks counts in
LARGEST_MAP = 2**22  # bytes of a list of mappings that are read
ROW = rb"^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) %02x:%02x (\d+)"
COUNTED = re.compile(rb"^Pss_Shmem: +(\d+) kB", re.MULTILINE)


def uncounted(holders: Iterable[tuple[int, int]], processes: int) -> dict[int, int]:
    """Bytes by process group, beyond what is counted as memory of these processes.

    `holders` are their numbers, each with its group; `processes` is an open /proc that numbers them so.
    """
    owners: dict[int, int] = {}  # by file: the group that has it
    exact, at_most = dict[int, int](), dict[int, int]()  # by file: its bytes
    counted = 0
    for number, group in sorted(holders):
        with contextlib.suppress(OSError):
            opened, mapped = dict(_opened(number, processes)), dict(_mapped(number, processes))
            exact |= opened
            at_most |= {file: max(size, at_most.get(file, 0)) for file, size in mapped.items()}
            owners |= dict.fromkeys(opened | mapped, group)
            if found := COUNTED.search(_read(f"{number}/smaps_rollup", processes)):
                counted += int(found[1]) * 1024
    groups: dict[int, int] = {}
    for file, group in owners.items():
        groups[group] = groups.get(group, 0) + (at_most | exact)[file]
    left = sum(groups.values()) - counted
    hidden = {}
    for group, size in sorted(groups.items(), key=lambda each: -each[1]):
        if left > 0:
            hidden[group] = min(size, left)
            left -= size
    return hidden


@cache
def _device() -> int:
    """Of all such files."""
    if not hasattr(os, "memfd_create"):
        return -1
    file = os.memfd_create("known", os.MFD_CLOEXEC)
    try:
        return os.fstat(file).st_dev
    finally:
        os.close(file)


def _mapped(number: int, processes: int) -> Iterator[tuple[int, int]]:
    """Files with how far they are mapped, which is at least what can lie there."""
    device = _device()
    if device < 0:
        return
    row = re.compile(ROW % (os.major(device), os.minor(device)), re.MULTILINE)
    ends: dict[int, int] = {}
    for found in row.finditer(_read(f"{number}/maps", processes)):
        begin, end, offset = (int(each, 16) for each in found.groups()[:3])
        file = int(found[4])
        ends[file] = max(ends.get(file, 0), offset + end - begin)
    yield from ends.items()


def _opened(number: int, processes: int) -> Iterator[tuple[int, int]]:
    """Files with what lies in them."""
    handles = os.open(f"{number}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=processes)
    try:
        yield from _in_memory(handles)
    finally:
        os.close(handles)


def _in_memory(handles: int) -> Iterator[tuple[int, int]]:
    for name in os.listdir(handles):
        with contextlib.suppress(OSError):
            status = os.stat(name, dir_fd=handles)
            if status.st_dev == _device():
                yield status.st_ino, status.st_blocks * BLOCK


def _read(name: str, processes: int) -> bytes:
    with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=processes), "rb") as file:  # noqa: PTH123
        return file.read(LARGEST_MAP)
