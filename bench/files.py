"""Files, beside rclone, copyparty, WsgiDAV and Samba."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import clients
from clients import Flown
from peers import Served, Shelf, commonhold
from rows import Figures, Row, listed

from commonhold.demo.stage import Computer, Stage

GIB = 2**30
SMALL = {"1 KiB": 1024, "64 KiB": 65536}
CONNECTIONS = (1, 16)
LISTED = (1000, 10_000)  # entries
FOLDERS, IN_EACH = 100, 100  # of the tree
ROUNDS, WRK = 2, 2.0  # seconds of each round of small requests
LARGE_ROUNDS = 3
GOALS = {("GET", 16): "≥ 3 x", ("PUT", 16): "≥ 1 x"}


def notes() -> str:
    """What has to be known to read the rows."""
    return """\
“x” is Commonhold's figure by the best one of the others that speak HTTP, of the same run; more is better. All
over TLS on loopback with each server's defaults and a P-256 certificate, with a password (Basic), the same
client, the same files, on the same disk. **Commonhold's writes are on the disk when they are acknowledged**
(the file's bytes, its name, its folder), and its uploads, small downloads and whatever download asks for it
carry a SHA-256; the others promise neither.
Small requests: wrk, each PUT to a new name. Large ones: curl. Listings: curl, PROPFIND, depth 1,
with the question that rclone asks. Trees: wrk with 16 connections, each file of the tree once, down into
nowhere; and Commonhold's own commands, from disk to disk. (rclone as the client sends 30 files a second to
any server: it paces itself.)

Where a goal is missed: one Python process with one event loop answers everything, so that a second core helps only
with disks, hashes and encryption, while rclone uses every core. **Small uploads**: what Python does for each
(rights, conditions, locks, quota, the version's row, the answer) bounds them, not the disk, whose syncs uploads
that come together share; tried: storing in a convoy (twice the rate), nameless files, early writeback.
**Listings**: each entry is looked at on the disk and its etag made; `curl` itself takes 10 ms to start and shake
hands. **A large download**: of the half second of a core for a GB nearly all is encryption, through the memory
buffers that TLS in an event loop needs; tried: larger chunks, several connections. **Trees by wrk**: each file is
asked for once, so that nothing is at hand for it; the commands' batches do not pay for each file."""


def rows() -> list[Row]:
    """All servers run at once, and are asked in turns."""
    with ExitStack() as ending:
        stage = ending.enter_context(Stage())
        shelf = Shelf(ending.enter_context(_folder()))
        ours = ending.enter_context(commonhold(stage))
        servers = [ours, *shelf.start(ending)]
        samba = ending.enter_context(shelf.samba())
        tree = _filled(stage, [*servers, *([samba] if samba else [])])
        found = [
            Row("compared with", ", ".join(f"{each.name} {each.version}" for each in [*servers[1:], samba] if each))
        ]
        found += [Row("not to be had here", each) for each in shelf.missing]
        found += _large(servers, stage, samba)
        found += _small(servers, stage)
        found += _listings(servers)
        found += _trees(servers, stage, tree, samba)
        peaks = {each.name: each.peak() for each in servers}
        found.append(Row("memory of the server at its peak, after all of the above", listed(peaks, "MB"), "≤ 100 MB"))
        stage.clear()
    return found


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="commonhold-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _filled(stage: Stage, servers: list[Served]) -> Path:
    """The same files in every server's folder; the tree stays aside, too."""
    tree = stage.folder / "tree"
    for folder in range(FOLDERS):
        (tree / f"{folder:02}").mkdir(parents=True)
        for number in range(IN_EACH):
            size = 512 << (number % 5)  # to 8 KiB
            (tree / f"{folder:02}" / f"{number:02}.txt").write_bytes(os.urandom(size))
    block = os.urandom(2**20)
    for server in servers:
        for name, size in SMALL.items():
            (server.folder / _plain(name)).write_bytes(os.urandom(size))
            for connections in CONNECTIONS:
                for turn in range(ROUNDS):
                    (server.folder / f"{_plain(name)}-{connections}-{turn}").mkdir()
        for entries in LISTED:
            (server.folder / f"list{entries}").mkdir()
            for number in range(entries):
                (server.folder / f"list{entries}" / f"Holiday picture {number:05}.jpg").touch()
        (server.folder / "up").mkdir()
        shutil.copytree(tree, server.folder / "tree")
        for each in tree.iterdir():
            (server.folder / "sent" / each.name).mkdir(parents=True)
    with (stage.folder / "large").open("wb") as file:
        for _ in range(GIB // 2**20):
            file.write(block)
    for server in servers:  # one file by several names: the disk's cache holds it once, for all alike
        with suppress(OSError):
            (server.folder / "large").hardlink_to(stage.folder / "large")
    os.sync()
    return tree


def _plain(name: str) -> str:
    return name.replace(" ", "")


def _large(servers: list[Served], stage: Stage, samba: Served | None) -> list[Row]:
    source = stage.folder / "large"
    down: dict[str, list[float]] = {each.name: [] for each in servers}
    up: dict[str, list[float]] = {each.name: [] for each in servers}
    made: list[float] = []
    known: list[float] = []
    burnt: dict[str, Figures] = {"GET": {}, "PUT": {}}
    for turn in range(LARGE_ROUNDS):
        os.utime(source)  # a digest that was remembered is one of another file
        for server in servers:
            before = server.processor()
            down[server.name].append(GIB / 1e6 / clients.curl(server, "large"))
            burnt["GET"][server.name] = burnt["GET"].get(server.name, 0) + server.processor() - before
        made.append(GIB / 1e6 / clients.curl(servers[0], "large", "-H", "Want-Repr-Digest: sha-256=10"))
        known.append(GIB / 1e6 / clients.curl(servers[0], "large"))
        for server in servers:
            before = server.processor()
            up[server.name].append(GIB / 1e6 / clients.curl(server, f"up/large{turn}", "-T", str(source)))
            burnt["PUT"][server.name] = burnt["PUT"].get(server.name, 0) + server.processor() - before
            (server.folder / "up" / f"large{turn}").unlink()
            os.sync()  # what this one left to be written does not slow down the next
    own, theirs = _own_large(stage, source), _samba_large(samba, source) if samba else {}
    per = {way: {name: value / LARGE_ROUNDS / GIB * 1e9 for name, value in each.items()} for way, each in burnt.items()}
    asked, again = ({**_medians(down), servers[0].name: statistics.median(each)} for each in (made, known))
    return [
        Row("GET of 1 GiB", _beside(_medians(down), "MB/s"), "≥ 1.2 x"),
        Row("GET of 1 GiB, its SHA-256 asked for and made on the way", _beside(asked, "MB/s")),
        Row("GET of 1 GiB, its SHA-256 known", _beside(again, "MB/s"), "≥ 1.2 x"),
        Row("PUT of 1 GiB", _beside(_medians(up), "MB/s"), "≥ 1.5 x"),
        *(Row(f"the same with {what}", f"{value:.0f} MB/s") for what, value in (own | theirs).items()),
        Row("processor time of the server for 1 GB of GET", listed(per["GET"], "s", 2)),
        Row("processor time of the server for 1 GB of PUT", listed(per["PUT"], "s", 2)),
    ]


def _own_large(stage: Stage, source: Path) -> Figures:
    laptop = stage.computers[1]
    down = clients.own(laptop, "get", "tower:shared/large", str(stage.folder / "got"))
    (stage.folder / "got").unlink()
    up = clients.own(laptop, "put", str(source), "tower:shared/up/own")
    (stage.folder / "shared" / "up" / "own").unlink()
    figures = {f"`commonhold {which}`": GIB / 1e6 / run.seconds for which, run in (("get", down), ("put", up))}
    os.sync()
    return figures


def _samba_large(samba: Served, source: Path) -> Figures:
    down = clients.smbclient(samba, "get large /dev/null")
    up = clients.smbclient(samba, f"put {source} up/large")
    (samba.folder / "up" / "large").unlink()
    os.sync()
    return {f"Samba, smbclient {which}": GIB / 1e6 / took for which, took in (("get", down), ("put", up))}


def _small(servers: list[Served], stage: Stage) -> list[Row]:
    script = stage.folder / "put.lua"
    script.write_text(clients.WRK_PUT)
    found = []
    for method in ("GET", "PUT"):
        for name, size in SMALL.items():
            for connections in CONNECTIONS:
                rates: dict[str, list[float]] = {each.name: [] for each in servers}
                for turn in range(ROUNDS):
                    for server in servers:
                        if method == "GET":
                            asked = clients.wrk(server, connections, WRK, _plain(name))
                        else:
                            path = f"{_plain(name)}-{connections}-{turn}/"
                            asked = clients.wrk(server, connections, WRK, path, script, size)
                        rates[server.name].append(asked)
                what = f"{method} of {name}, {connections} connection{'s' if connections > 1 else ''}"
                found.append(Row(what, _beside(_medians(rates), "/s"), GOALS.get((method, connections), "")))
    return found


def _listings(servers: list[Served]) -> list[Row]:
    found = []
    for entries in LISTED:
        took: dict[str, list[float]] = {each.name: [] for each in servers}
        for _ in range(3):
            for server in servers:
                took[server.name].append(clients.propfind(server, f"list{entries}/") * 1000)
        found.append(Row(f"listing of {entries:,} entries", _beside(_medians(took), "ms", less=True), "≥ 3 x"))
    return found


def _trees(servers: list[Served], stage: Stage, tree: Path, samba: Served | None) -> list[Row]:
    files, laptop, down = FOLDERS * IN_EACH, stage.computers[1], stage.folder / "down"
    uploads: Figures = {}
    downloads: Figures = {}
    names = stage.folder / "names"
    names.write_text("".join(f"{each.relative_to(tree)}\n" for each in sorted(tree.rglob("*.txt"))))
    for server in servers:
        uploads[server.name] = files / clients.each_once(server, "PUT", names, tree, "sent")
        downloads[server.name] = files / clients.each_once(server, "GET", names, tree, "tree")
    up, down_own = _own_tree(laptop, tree, down)
    rows = [
        Row(f"{files:,} small files up, wrk for all", _beside(uploads, "files/s"), "≥ 1.5 x"),
        Row(f"{files:,} small files down, wrk for all", _beside(downloads, "files/s"), "≥ 1.5 x"),
        _ours_beside(f"{files:,} small files up, `commonhold put -r`", files / up.seconds, uploads, "≥ 3 x"),
        _ours_beside(
            f"{files:,} small files down, `commonhold get -r`", files / down_own.seconds, downloads, "≥ 1.5 x"
        ),
    ]
    if samba:
        (samba.folder / "own").mkdir()
        sent = clients.smbclient(samba, "recurse on", "prompt off", f"lcd {tree}", "cd own", "mput *")
        down.mkdir()
        got = clients.smbclient(samba, "recurse on", "prompt off", f"lcd {down}", f"mget {tree.name}")
        shutil.rmtree(down)
        figures = {"up": files / sent, "down": files / got}
        rows.append(Row(f"{files:,} small files with Samba, smbclient", listed(figures, "files/s")))
    peaks = {"put -r": up.megabytes, "get -r": down_own.megabytes}
    rows.append(Row("memory of our command at its peak there", listed(peaks, "MB"), "≤ 100 MB"))
    return rows


def _own_tree(laptop: Computer, tree: Path, down: Path) -> tuple[Flown, Flown]:
    up = clients.own(laptop, "put", "-r", str(tree), "tower:shared/own")
    got = clients.own(laptop, "get", "-r", "tower:shared/tree", str(down))
    shutil.rmtree(down)
    return up, got


def _medians(figures: dict[str, list[float]]) -> Figures:
    return {name: statistics.median(each) for name, each in figures.items()}


def _beside(figures: Figures, unit: str, less: bool = False) -> str:
    """The first of them by the best of the others, then each; `less` is better, or more."""
    ours, *others = figures.values()
    if not others:
        return listed(figures, unit)
    ratio = min(others) / ours if less else ours / max(others)
    return f"**{ratio:.2f} x** · {listed(figures, unit)}"


def _ours_beside(what: str, ours: float, others: Figures, promised: str) -> Row:
    """Our own client's figure by the best one that wrk had with another server."""
    name, best = max(list(others.items())[1:], key=lambda each: each[1], default=("", 0.0))
    ratio = f"**{ours / best:.2f} x** · " if best else ""
    return Row(what, f"{ratio}{ours:,.0f} files/s ({name} with wrk {best:,.0f})", promised)


if __name__ == "__main__":
    for row in rows():
        print(*row, sep=" | ")  # noqa: T201 - what a bench is for
