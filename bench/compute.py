"""Processors, beside GNU parallel and raw Dask."""

from __future__ import annotations

import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import clients
import owned
import psutil
import rivals
from msgspec import structs
from rivals import GnuParallel, RawDask
from rows import Figures, Row, listed, seconds

from commonhold.compute.job import Job
from commonhold.demo.stage import Computer, Stage, library

EACH = max(1, (os.cpu_count() or 2) // 2)  # cores that each of the two lenders lends
SLOTS = 2 * EACH  # that the others get
COMMANDS, CALLS = 2000, 10_000
ROUNDS = 3
SOURCES, PICTURES = 2000, 500
COPIES, COPY = 8, 32 * 2**20  # files that are staged, and bytes of each
TASK = 0.5  # seconds of a task while a lender is lost
COLD = Path("/proc/sys/vm/drop_caches")
OURS, PARALLEL, DASK, SHELL = "Commonhold", "GNU parallel", "raw Dask", "one core"


def notes() -> str:
    """What has to be known to read the rows."""
    return f"""\
Two computers, real nodes, both lend {EACH} of this machine's cores; GNU parallel has {SLOTS} jobs at a time and
the shell that Commonhold's tasks have; raw Dask is a `LocalCluster` of {SLOTS} processes with TLS whose tasks call
`subprocess.run`. “x” is Commonhold's figure by the other's, of the same run; more is better. Neither of the
others does what is done here for each task: a folder of its own in a sandbox without a network, at the lowest
priority; its output, exit status and files kept; its state in the hub's journal, **on the disk before anybody is
told**. Files travel over TLS with their SHA-256, and outputs are on the disk when a task counts as done; the others
read and write one folder here.

Guests are one group of a weight of 10 beside their owner's 1,024 (docs/lending.md). Where files are small, what is
done for each task costs more than the command: files of a job go through the doors that own them, one request each,
as other people's would, and a task fetches, runs and stores one after the other."""


class Place(NamedTuple):
    """Two computers that lend; `laptop` submits. `shared` is a folder of tower's."""

    stage: Stage
    tower: Computer
    laptop: Computer
    shared: Path
    parallel: GnuParallel


def rows() -> list[Row]:
    """Part by part: one that fails or takes too long is told, and the others go on."""
    found = []
    with ExitStack() as ending:
        place = _place(ending.enter_context(Stage()))
        version = place.parallel.version or "which is not here: make peers"
        found.append(Row("compared with", f"{PARALLEL} {version}, {DASK} {rivals.VERSION}"))
        for part, limit in PARTS.items():
            found += _measured(part, place, limit)
        place.stage.clear()
    return found


def _place(stage: Stage) -> Place:
    tower, laptop = stage.computer("tower", "ann"), stage.computer("laptop", "bob")
    tower.create("casa", trusting=True)
    laptop.join(tower)
    shared = stage.folder / "shared"
    shared.mkdir()
    tower.net.share(shared, "shared", to="bob", verb="write")
    for computer in (tower, laptop):
        settings = computer.home.settings()
        terms = structs.replace(settings.lend, when="always", cores=EACH)
        computer.home.save_settings(structs.replace(settings, lend=terms))
    _restart(tower, laptop)
    return Place(stage, tower, laptop, shared, GnuParallel(SLOTS, stage.folder / "parallel"))


def _restart(*computers: Computer) -> None:
    for computer in computers:
        computer.down()
    for computer in computers:
        computer.up()
    time.sleep(1)  # what starting begins (greeting, announcing) is over


def _measured(part: Callable[[Place], Iterator[Row]], place: Place, limit: int) -> list[Row]:
    found = []
    try:
        with _within(limit):
            found.extend(part(place))
    except Exception as error:
        trouble = str(error).partition("\n")[0] or type(error).__name__
        found.append(Row(str(part.__doc__).partition("\n")[0].rstrip("."), f"not measured: {trouble}"))
    return found


@contextmanager
def _within(limit: int) -> Iterator[None]:
    """Raises TimeoutError after so many seconds; what is under way then is interrupted as by Ctrl-C."""
    rang = False

    def ring(*_: object) -> None:
        nonlocal rang
        rang = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(limit)
    try:
        yield
    except KeyboardInterrupt:
        if rang:
            raise TimeoutError(f"it took longer than {limit} s") from None
        raise
    finally:
        signal.alarm(0)


class Cost(NamedTuple):
    """Of a run: how long it took, and what this machine's cores computed for it (ours and all that we started)."""

    seconds: float
    processor: float


def cost(what: Callable[[], object], *apart: Computer) -> Cost:
    """Without the nodes `apart`: what a session of theirs that ends meanwhile had computed is told by nobody."""
    before = _burnt(apart)
    took = seconds(what)
    return Cost(took, _burnt(apart) - before)


def _burnt(apart: Sequence[Computer]) -> float:
    spent = 0.0
    own = psutil.Process()
    nodes = {psutil.Process(computer.pid) for computer in apart}
    left_out = nodes.union(*(node.children(recursive=True) for node in nodes))
    for process in {own, *own.children(recursive=True)} - left_out:
        with suppress(psutil.Error):
            spent += sum(process.cpu_times()[:4])
    return spent


def _done(job: Job) -> Job:
    if job.failed or job.done != job.total:
        raise RuntimeError(f"{job.failed} of {job.total} tasks failed: {' '.join(job.notes)}")
    return job


# The first result


def starting(place: Place) -> Iterator[Row]:
    """First result of `run`."""
    tower, laptop = place.tower, place.laptop
    new, warm = [], []
    for _ in range(ROUNDS):
        _restart(tower, laptop)
        new.append(_first(laptop))
        warm += [_first(laptop) for _ in range(ROUNDS)]
    yield Row(
        "first result of `commonhold run`, programs in the page cache",
        f"{statistics.median(new):.2f} s (longest {max(new):.2f})",
        "≤ 2 s",
    )
    yield Row("the same while the session is warm", f"{statistics.median(warm):.2f} s")
    _restart(tower, laptop)
    yield Row("the same with nothing in the page cache", _cold(laptop))


def _first(laptop: Computer) -> float:
    return clients.own(laptop, "run", "true", ":::", "1").seconds


def _cold(laptop: Computer) -> str:
    os.sync()
    try:
        COLD.write_text("3")
    except OSError as error:
        return f"not measured: only root may empty it ({error.strerror})"
    return f"{_first(laptop):.2f} s"


# Many of them


def many(place: Place) -> Iterator[Row]:
    """Commands and calls a second."""
    with rivals.raw_dask(SLOTS) as dask:
        yield from commands(place, dask)
        yield from calls(place, dask)


def commands(place: Place, dask: RawDask) -> Iterator[Row]:
    """`true` by a shell, as many times."""
    inputs = [str(number) for number in range(COMMANDS)]
    runs: dict[str, Callable[[], object]] = {
        OURS: lambda: _done(place.laptop.net.run("true", inputs)),
        PARALLEL: lambda: place.parallel.run("true", inputs, place.stage.folder),
        DASK: lambda: dask.commands(COMMANDS),
    }
    if not place.parallel.version:
        del runs[PARALLEL]
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        _done(place.laptop.net.run("true", inputs[:100]))  # a warm session, as the others are
        for name, run in runs.items():
            costs[name].append(cost(run, *_nodes(place, name)))
    rates = {name: COMMANDS / statistics.median(each.seconds for each in some) for name, some in costs.items()}
    for other, goal in ((PARALLEL, "≥ 1.5 x"), (DASK, "≥ 0.9 x")):
        if other in rates:
            what = f"`true` over {COMMANDS:,} inputs on two lenders, beside {other}"
            yield Row(what, _beside({OURS: rates[OURS], other: rates[other]}, "/s"), goal)
    burnt = {name: 1000 * statistics.median(each.processor for each in some) / COMMANDS for name, some in costs.items()}
    yield Row("processor time for each of these commands, of all processes", listed(burnt, "ms", 2))


def _nodes(place: Place, who: str) -> tuple[Computer, ...]:
    """Those that have no part in what somebody else does."""
    return () if who == OURS else (place.tower, place.laptop)


def calls(place: Place, dask: RawDask) -> Iterator[Row]:
    """Tiny calls of a Python function."""
    net = place.laptop.net
    began = time.perf_counter()
    with net.executor() as executor:
        executor.submit(rivals.one_more, 1).result()
        first = time.perf_counter() - began
        ours = [seconds(lambda: _summed(executor)) for _ in range(ROUNDS)]
    yield Row("first result of `net.executor()`, a new session", f"{first:.2f} s", "≤ 2 s")
    rates = {OURS: CALLS / statistics.median(ours), "Client.map": CALLS / dask.calls(CALLS)}
    what = f"{CALLS:,} tiny calls, `net.executor().map` beside raw Dask's `Client.map`"
    yield Row(what, _beside(rates, "/s"), "≥ 10 x")


def _summed(executor: Any) -> None:
    if sum(executor.map(rivals.one_more, range(CALLS))) != CALLS * (CALLS + 1) // 2:
        raise RuntimeError("the executor computes something else")


# Real jobs


def compressing(place: Place) -> Iterator[Row]:
    """Source files compressed."""
    found = [path for path in sorted(library(place.stage.folder / "library").rglob("*")) if path.is_file()]
    folder = place.shared / "sources"
    folder.mkdir()
    for number in range(SOURCES):
        path = found[number % len(found)]
        shutil.copyfile(path, folder / f"{number:04}-{path.name}")
    yield from _job(place, f"`gzip -9` over {SOURCES:,} source files", folder, "gzip -9 -c {} > {}.gz")


def resizing(place: Place) -> Iterator[Row]:
    """Pictures resized."""
    for program in ("djpeg", "cjpeg"):
        if shutil.which(program) is None:
            raise FileNotFoundError(f"{program} is not here: make peers")
    folder = place.shared / "pictures"
    folder.mkdir()
    kinds = [_picture(place.stage.folder, kind) for kind in range(10)]
    for number in range(PICTURES):
        shutil.copyfile(kinds[number % len(kinds)], folder / f"{number:03}.jpg")
    size = sum(path.stat().st_size for path in kinds) / len(kinds) / 1000
    what = f"{PICTURES} pictures of 1600 x 1200 ({size:.0f} kB) made smaller, `djpeg | cjpeg`"
    yield from _job(place, what, folder, "djpeg -scale 1/2 {} | cjpeg -quality 85 > {}.small.jpg")


def _picture(folder: Path, kind: int) -> Path:
    """Waves of three colours, each line a little further on."""
    width, height = 1600, 1200
    line = bytearray()
    for column in range(width):
        for colour in range(3):
            wave = math.sin(column / (7 + kind + 5 * colour)) + math.sin(column / (60 + 9 * kind))
            line.append(int(127 + 55 * wave) ^ (column * (kind + 3) % 7))
    raw = b"".join(bytes(line[3 * shift :] + line[: 3 * shift]) for shift in range(height))
    target = folder / f"{kind}.jpg"
    words = ["cjpeg", "-quality", "92", "-outfile", str(target)]
    subprocess.run(words, input=b"P6 %d %d 255\n" % (width, height) + raw, check=True, timeout=60)
    return target


def _job(place: Place, what: str, folder: Path, command: str) -> Iterator[Row]:
    """The same command over the files of a folder of tower's, which the others have as a copy."""
    names = sorted(path.name for path in folder.iterdir())
    into = f"tower:shared/{folder.name}-done"
    _done(place.laptop.net.run("true", ["1", "2"]))
    costs = {OURS: cost(lambda: _done(place.laptop.net.run(command, [f"tower:shared/{folder.name}"], into)))}
    if len(list((place.shared / f"{folder.name}-done").rglob("*.*"))) != len(names):
        raise RuntimeError("not every file has its output")
    runs: dict[str, Callable[[Path], object]] = {SHELL: lambda copy: rivals.one_core(command, names, copy)}
    if place.parallel.version:
        runs = {PARALLEL: lambda copy: place.parallel.run(command, names, copy)} | runs
    for name, run in runs.items():
        copy = place.stage.folder / "copy"
        shutil.copytree(folder, copy)
        os.sync()
        costs[name] = cost(lambda run=run, copy=copy: run(copy), *_nodes(place, name))  # type: ignore[misc]
        shutil.rmtree(copy)
    rates = {name: len(names) / each.seconds for name, each in costs.items()}
    for other in runs:
        yield Row(f"{what}, beside {other}", _beside({OURS: rates[OURS], other: rates[other]}, "files/s"))
    burnt = {name: 1000 * each.processor / len(names) for name, each in costs.items()}
    yield Row("processor time for each of these files, of all processes", listed(burnt, "ms", 1))


# Files on their way


def staging(place: Place) -> Iterator[Row]:
    """Large inputs fetched and outputs stored."""
    net, folder = place.laptop.net, place.shared / "large"
    folder.mkdir()
    for number in range(COPIES):
        (folder / f"{number}.bin").write_bytes(os.urandom(COPY))
    megabytes = COPIES * COPY / 1e6
    _done(net.run("true", ["1", "2"]))
    fetched = seconds(lambda: _done(net.run("true", ["tower:shared/large"])))
    got = seconds(lambda: net.get("tower:shared/large", place.stage.folder / "got", recursive=True))
    down = {"tasks' inputs": megabytes / fetched, "`get -r`": megabytes / got}
    yield Row(f"{COPIES} inputs of 32 MiB, beside `get -r`", _beside(down, "MB/s"))
    writing = f"head -c {COPY} /dev/zero > {{}}.bin"
    values = [str(number) for number in range(COPIES)]
    stored = seconds(lambda: _done(net.run(writing, values, "tower:shared/left")))
    sent = seconds(lambda: net.put(place.stage.folder / "got", "tower:shared/sent", recursive=True))
    up = {"tasks' outputs": megabytes / stored, "`put -r`": megabytes / sent}
    yield Row(f"{COPIES} outputs of 32 MiB, beside `put -r`", _beside(up, "MB/s"))
    for each in (folder, place.stage.folder / "got", place.shared / "left", place.shared / "sent"):
        shutil.rmtree(each)


# The owner


def owning(place: Place) -> Iterator[Row]:
    """What an owner has of one core, beside three guests on it."""
    core = max(os.sched_getaffinity(0))
    conditions: dict[str, Callable[[], Any]] = {
        "alone": nullcontext,
        "guests": lambda: _lent(place, core),
        "nice 19": lambda: owned.guests_at_19(core),
    }
    shares: dict[str, list[float]] = {name: [] for name in conditions}
    took: dict[str, list[float]] = {name: [] for name in conditions}
    loops = 0
    for _ in range(2):
        for name, condition in conditions.items():
            with condition():
                felt = owned.felt(core, 2, 150, loops)
            loops = felt.loops
            shares[name].append(100 * felt.share)
            took[name] += felt.tasks
    share = {name: statistics.mean(each) for name, each in shares.items()}
    slow = {name: 1000 * statistics.quantiles(each, n=100)[98] for name, each in took.items()}
    yield Row(
        "an owner's share of a core with three guests on it, by what it has alone",
        f"**{100 * share['guests'] / share['alone']:.1f} %** · {listed(share, '%', 1)}",
        "≥ 99 %",
    )
    yield Row(
        "an owner's task of 10 ms, 99 of 100 done within",
        f"**{slow['guests'] / slow['alone']:.2f} times** · {listed(slow, 'ms', 1)}",
        "≤ 1.1 times",
    )


@contextmanager
def _lent(place: Place, core: int) -> Iterator[None]:
    """Three processes of a guest's task, on that core."""
    net = place.laptop.net
    job = net.run([sys.executable, "-c", owned.GUESTS % core], [], on="tower", timeout=60, wait=False)
    try:
        while not net.job(job.job).running:
            time.sleep(0.1)
        time.sleep(1)
        yield
    finally:
        net.cancel(job.job)


# Losses


def losing(place: Place) -> Iterator[Row]:
    """Seconds lost with a lender."""
    tower = psutil.Process(place.tower.pid)
    try:
        frozen = _lost(place, 12, lambda: _signalled(tower, signal.SIGSTOP))
    finally:
        _signalled(tower, signal.SIGCONT)
    yield Row("a lender is frozen in the middle of a job: seconds lost", f"{frozen:.1f} s", "≤ 20 s")
    _restart(place.tower, place.laptop)
    tower = psutil.Process(place.tower.pid)
    killed = _lost(place, 24, tower.kill)
    promised = f"≤ 2 s, and what it ran ({TASK} s)"
    yield Row("a lender's node is killed in the middle of a job: seconds lost", f"{killed:.1f} s", promised)


def _signalled(node: psutil.Process, number: int) -> None:
    """The node and all that runs for it, as when a lid closes."""
    for each in [node, *node.children(recursive=True)]:
        with suppress(psutil.Error):
            each.send_signal(number)


def _lost(place: Place, count: int, lose: Callable[[], None]) -> float:
    """By how much longer than the other lender needs for what was not done then, when tower goes after a third."""
    inputs = [str(number) for number in range(count)]
    began: list[float] = []
    ended: set[int] = set()
    lenders: set[str] = set()

    def hear(event: dict[str, Any]) -> None:
        if event["event"] != "task":
            return
        lenders.add(event["computer"])
        if event["state"] == "done":
            ended.add(event["task"])
        if len(ended) == count // 3 and not began:
            began.append(time.monotonic())
            lose()

    _done(place.laptop.net.run("true", [str(number) for number in range(50)]))  # both take part
    _done(place.laptop.net.run(f"sleep {TASK}; true", inputs, progress=hear))
    if not {"tower", "laptop"} <= lenders:
        raise RuntimeError("tower took no part")
    return time.monotonic() - began[0] - (count - count // 3) * TASK / EACH


def _beside(figures: Figures, unit: str) -> str:
    """The first by the second, then both."""
    ours, other = figures.values()
    return f"**{ours / other:.2f} x** · {listed(figures, unit)}"


# Each with the seconds after which it is given up: several times what it needs where nothing else runs.
PARTS: dict[Callable[[Place], Iterator[Row]], int] = {
    starting: 120,
    many: 300,
    compressing: 150,
    resizing: 150,
    staging: 90,
    owning: 120,
    losing: 120,
}
