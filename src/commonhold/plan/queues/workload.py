"""What people ask of a network, and how long one request of it keeps processor, disk and link busy. *Pure.*

Sizes in bytes, rates in bytes a second, times in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from commonhold.errors import WrongUsage


class Operation(NamedTuple):
    """So large a part of all requests reads or stores a file of so many bytes, or computes for so many seconds."""

    part: float
    kind: Literal["read", "write", "list", "compute"]
    size: int
    seconds: float = 0.0


class Workload(NamedTuple):
    """`think` is between an answer and the next request of the same person."""

    name: str
    about: str
    think: float
    operations: tuple[Operation, ...]

    @property
    def size(self) -> float:
        """Mean bytes that a request moves."""
        return sum(each.part * each.size for each in self.operations)


class Rates(NamedTuple):
    """What a computer does: seconds of a core and bytes a second. Defaults are docs/benchmarks.md's, of a slow core."""

    link: float  # each way
    disk: float = 200e6
    sync: float = 1e-3  # until a file that was stored is on the disk for certain
    read: float = 0.15e-3  # of a core for each read
    read_byte: float = 0.5e-9
    write: float = 0.5e-3
    write_byte: float = 1.5e-9
    listing: float = 5e-3
    start: float = 5e-3  # for each task, beside what it computes


class Demands(NamedTuple):
    """Busy seconds of one mean request at an ordinary computer. What tasks compute goes wherever there is room."""

    processor: float
    disk: float
    link: float
    computing: float = 0.0


WORKLOADS: Mapping[str, Workload] = {
    each.name: each
    for each in (
        Workload(
            "office",
            "documents and mail: small files, read and saved now and then",
            10.0,
            (
                Operation(0.6, "read", 200_000),
                Operation(0.2, "write", 200_000),
                Operation(0.1, "write", 16_384),  # filebench's varmail: mail of 16 KiB, each synced
                Operation(0.1, "list", 20_000),
            ),
        ),
        Workload(
            "fileserver",
            "busy with files: stored whole, appended to, read whole, listed (filebench's fileserver)",
            1.0,
            (
                Operation(0.25, "write", 131_072),
                Operation(0.25, "write", 16_384),
                Operation(0.25, "read", 147_456),
                Operation(0.25, "list", 2_000),
            ),
        ),
        Workload(
            "media",
            "photographs and films: large files, mostly read",
            20.0,
            (Operation(0.8, "read", 8_000_000), Operation(0.1, "write", 8_000_000), Operation(0.1, "list", 50_000)),
        ),
        Workload(
            "compute",
            "jobs: a task computes for seconds on a file",
            5.0,
            (Operation(1.0, "compute", 1_000_000, 4.0),),
        ),
    )
}


def named(name: str) -> Workload:
    """Raises WrongUsage for a name that no workload has."""
    if name not in WORKLOADS:
        raise WrongUsage(f"There is no workload “{name}”.", f"one of: {', '.join(WORKLOADS)}")
    return WORKLOADS[name]


def demands(workload: Workload, pace: Rates) -> Demands:
    """Of a mean request. A listing comes from the disk's cache; a task reads its file, and stores a fifth of it."""
    processor = disk = computing = 0.0
    for each in workload.operations:
        reads = each.size if each.kind in {"read", "compute"} else 0
        writes = each.size if each.kind == "write" else each.size / 5 if each.kind == "compute" else 0
        seconds = pace.listing if each.kind == "list" else 0.0
        seconds += (pace.read + reads * pace.read_byte) if reads else 0.0
        seconds += (pace.write + writes * pace.write_byte) if writes else 0.0
        processor += each.part * seconds
        computing += each.part * (each.seconds + pace.start) if each.kind == "compute" else 0.0
        disk += each.part * ((reads + writes) / pace.disk + (pace.sync if writes else 0.0))
    return Demands(processor, disk, workload.size / pace.link, computing)
