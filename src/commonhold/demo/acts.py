"""The three acts: peer-to-peer, a trusting peer-to-peer network, client-server."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from commonhold.api import Network
from commonhold.compute.job import Job
from commonhold.demo.stage import Stage, digests, library, refused, wait_until
from commonhold.demo.steps import Steps, require
from commonhold.node.computer import Computer

COMPRESSED = 200  # files of the job
COMPRESS = "gzip -9 -c {} > {}.gz"
UNLUCKY = "this.py"  # the input that the second job fails on, on purpose


def peer_to_peer(stage: Stage, steps: Steps) -> None:
    """No server: each computer guards its own doors."""
    steps.act("peer-to-peer", "Peer-to-peer: three computers, no server, each guards its own doors.")
    tower, laptop, desk = (
        stage.computer("tower", "ann"),
        stage.computer("laptop", "bob"),
        stage.computer("desk", "carol"),
    )
    with steps.step("ann founds the network casa on tower; bob's laptop and carol's desk join, each by a code") as step:
        tower.create("casa")
        laptop.join(tower)
        desk.join(tower)
        _all_know(tower, laptop, desk)
        step.verified = "each of the three lists all three, with the same keys"

    with steps.step("tower shares a copy of the Python library; bob has no right yet") as step:
        sources = library(stage.folder / "library")
        expected = digests(sources)
        tower.net.share(sources, "library")
        reason = refused(lambda: laptop.net.ls("tower:library"), "bob lists a share that nobody opened to him")
        step.verified = f"{len(expected):,} files, refused: {reason}"

    with steps.step("ann types: allow bob read library; bob lists it and gets it whole") as step:
        tower.net.allow("bob", "read", "library")
        listed = {entry.path for entry in laptop.net.ls("tower:library", recursive=True) if entry.kind == "file"}
        require(listed == set(expected), "the listing is not what lies in the folder")
        laptop.net.get("tower:library", stage.folder / "copy", recursive=True)
        require(digests(stage.folder / "copy") == expected, "a file of the copy differs from the original")
        step.verified = f"{len(expected):,} SHA-256 digests equal the originals'"

    with steps.step("bob replaces a file of the share while others read it") as step:
        refused(lambda: laptop.net.put(__file__, "tower:library/this.py"), "bob writes with the right to read")
        tower.net.allow("bob", "write", "library")
        readings = _replace_while_reading(stage, laptop, desk, tower)
        step.verified = f"{readings} readings meanwhile saw the old file or the new one, never a mixture"

    inputs = _inputs(sources)
    with steps.step(f"bob compresses {len(inputs)} files on the processors of all three: {COMPRESS}") as step:
        step.verified = _compressed_together(stage, tower, laptop, desk, inputs=inputs)

    with steps.step(f"a command that fails for one input ({UNLUCKY}) on purpose") as step:
        step.verified = _one_fails(laptop, inputs)

    with steps.step("ann removes desk from the network") as step:
        tower.net.allow("carol", "read", "library")
        desk.net.ls("tower:library")
        tower.net.remove("desk")
        reason = refused(lambda: desk.net.ls("tower:library"), "a removed computer asks")
        step.verified = f"its next request, allowed a moment ago, is refused: {reason}"
    stage.clear()


def trusting(stage: Stage, steps: Steps) -> None:
    """A home or a lab: members may read and compute right after joining."""
    steps.act("trusting", "Peer-to-peer, created with --trusting: everything works right after joining.")
    nas, phone = stage.computer("nas", "dora"), stage.computer("netbook", "emil")
    with steps.step("dora founds casa2 with --trusting and shares a folder; emil's netbook joins") as step:
        nas.create("casa2", trusting=True)
        nas.net.share(stage.folder / "copy" / "email", "email")
        phone.join(nas)
        _all_know(nas, phone)
        step.verified = "both list both"
    with steps.step("emil reads and computes at once") as step:
        phone.net.get("nas:email", stage.folder / "email", recursive=True)
        require(
            digests(stage.folder / "email") == digests(stage.folder / "copy" / "email"),
            "a file of the copy differs from the original",
        )
        named = ""
        if nas.net.status().sandbox != "bubblewrap":
            # Without it a guest is not held back from the owner's files: nobody computes there unnamed.
            reason = refused(lambda: phone.net.run("true", on="nas"), "an unnamed member computes unconfined")
            require("bubblewrap" in reason, f"the refusal does not name bubblewrap: {reason}")
            named = _name_one_another(nas, phone)
        job = phone.net.run("wc -l < {} > {}.lines", ["nas:email/*.py"], on="nas")
        require(job.failed == 0, "a task failed in the trusting network")
        refused(lambda: phone.net.put(__file__, "nas:email/x.py"), "emil writes in a trusting network")
        require(_lenders(phone.net, job) == {"nas"}, "the processors of nas were not lent")
        step.verified = f"digests equal; {job.done} tasks done by dora's nas for emil{named}; writing is still refused"
    stage.clear()


def client_server(stage: Stage, steps: Steps) -> None:
    """One server decides, shares and computes; clients open no door."""
    steps.act("client-server", "Client-server: one server opens the doors; clients share nothing and open no port.")
    server, first, second = (
        stage.computer("server", "ann"),
        stage.computer("client1", "bob"),
        stage.computer("client2", "carol"),
    )
    with steps.step("ann founds the office on server; bob's and carol's computers join as clients") as step:
        server.create("office", shape="client-server")
        first.join(server)
        second.join(server)
        _all_know(server, first, second)
        step.verified = "each of the three lists all three, one server and two clients"

    with steps.step("the clients' doors are closed") as step:
        for client in (first, second):
            require(not _listens(client), f"the node of {client.name}, a client, listens at {_listens(client)}")
            require(not client.net.status().listener, f"{client.name} has a listener")
        reason = refused(lambda: second.net.ls("client1:"), "a client's shares are listed")
        step.verified = f"nothing listens at {first.address} and {second.address}; {reason}"

    sources = stage.folder / "copy"
    with steps.step("people with different rights: bob writes, carol reads, nobody opens ann's own folder") as step:
        for name in ("projects", "private"):
            (stage.folder / name).mkdir()
            (stage.folder / name / "notes.txt").write_text(f"ann's {name}\n")
            server.net.share(stage.folder / name, name)
        server.net.share(sources, "library", to="members", verb="read")
        server.net.allow("bob", "write", "projects")
        server.net.allow("carol", "read", "projects")
        refused(lambda: second.net.put(__file__, "server:projects/x.py"), "carol writes with the right to read")
        reason = refused(lambda: first.net.ls("server:private"), "bob lists ann's folder")
        unknown = refused(lambda: first.net.ls("server:nothing"), "bob lists a share that does not exist")
        require(
            reason.replace("private", "nothing") == unknown,
            "the refusal tells whether the share exists",
        )
        step.verified = f"carol's upload refused; {reason}; the same words for a share that does not exist"

    with steps.step("a file goes from bob's computer to carol's through the server") as step:
        letter = stage.folder / "Für Carol, été.txt"
        letter.write_text("Through the server.\n" * 1000)
        first.net.put(letter, "server:projects")
        second.net.get(f"server:projects/{letter.name}", stage.folder / "arrived.txt")
        require((stage.folder / "arrived.txt").read_bytes() == letter.read_bytes(), "the letter arrived changed")
        step.verified = "its digest is the same at the other end"

    inputs = _inputs(sources)
    with steps.step(f"the same job, {len(inputs)} files, on the server's processors") as step:
        server.net.allow("bob", "run", "compute")
        (stage.folder / "compressed").mkdir()
        server.net.share(stage.folder / "compressed", "compressed", to="bob", verb="write")
        job = first.net.run(COMPRESS, [f"server:library/{name}" for name in inputs], into="server:compressed")
        _require_equal(job, sources, inputs, stage.folder / "compressed")
        refused(lambda: second.net.run("true", ["1"]), "carol computes without the right")
        step.verified = "all outputs equal a local run's; carol, who may not, was refused"
    stage.clear()


def _compressed_together(stage: Stage, *computers: Computer, inputs: list[str]) -> str:
    """The second computer's person compresses files of the first on all of them."""
    tower, laptop, desk = computers
    results = stage.folder / "results"
    results.mkdir()
    tower.net.share(results, "results", to="bob", verb="write")
    for owner in (tower, desk):
        owner.net.allow("bob", "run", "compute")
    named = _name_one_another(*computers)
    job = laptop.net.run(COMPRESS, [f"tower:library/{name}" for name in inputs], into="tower:results")
    _require_equal(job, stage.folder / "library", inputs, results)
    lenders = _lenders(laptop.net, job)
    require(len(lenders) == 3, f"only {', '.join(sorted(lenders))} computed: {' '.join(job.notes)}")
    return f"all outputs equal a local run's; computed by {', '.join(sorted(lenders))}{named}"


def _name_one_another(*computers: Computer) -> str:
    """Without a sandbox, computers compute together only where every owner has named every other person."""
    if computers[0].net.status().sandbox == "bubblewrap":
        return ""
    for owner in computers:
        for other in computers:
            if other is not owner:
                owner.net.allow(other.person, "run", "compute")
    return "; this machine has no bubblewrap, so their owners had to name one another first"


def _all_know(*computers: Computer) -> None:
    expected = sorted((member.computer, member.fingerprint) for member in computers[0].net.members())
    require(len(expected) == len(computers), f"{computers[0].name} lists {len(expected)} computers")
    for computer in computers[1:]:
        wait_until(
            lambda one=computer: sorted((m.computer, m.fingerprint) for m in one.net.members()) == expected,  # type: ignore[misc]
            f"{computer.name} has not heard of everybody",
        )


def _inputs(sources: Path) -> list[str]:
    """Some 200 files of the top folder and of packages in it, `UNLUCKY` among them."""
    found = sorted(path.relative_to(sources).as_posix() for path in sources.rglob("*.py") if path.stat().st_size)
    found.sort(key=lambda name: (name != UNLUCKY, "/" in name, name))
    return sorted(found[:COMPRESSED])


def _require_equal(job: Job, sources: Path, inputs: list[str], results: Path) -> None:
    """Every output equals what the same command leaves here."""
    require(job.failed == 0 and job.done == len(inputs), f"{job.failed} of {len(inputs)} tasks failed")
    for name in inputs:
        path = sources / name
        here = subprocess.run(["gzip", "-9", "-c", path.name], cwd=path.parent, capture_output=True, check=True).stdout
        there = (results / f"{name}.gz").read_bytes()
        require(here == there, f"the output for {name} differs from a local run's")


def _lenders(net: Network, job: Job) -> set[str]:
    return {task.computer for task in net.log(job.job) if task.computer}


def _one_fails(submitter: Computer, inputs: list[str]) -> str:
    chosen = [f"tower:library/{name}" for name in inputs[:20] if name != UNLUCKY] + [f"tower:library/{UNLUCKY}"]
    job = submitter.net.run(f"test {{}} != {UNLUCKY} && wc -c < {{}}", chosen)
    require(job.failed == 1 and job.done == len(chosen) - 1, f"{job.failed} tasks failed instead of one")
    failed = [task for task in submitter.net.log(job.job) if task.state == "failed"]
    require(len(failed) == 1 and failed[0].input.endswith(UNLUCKY), "the wrong task is reported as failed")
    return f"{job.done} done, 1 failed and reported: {failed[0].input}, exit status {failed[0].exit}"


def _replace_while_reading(stage: Stage, writer: Computer, reader: Computer, owner: Computer) -> int:
    """Upload a new version many times over while another computer reads; -> the number of readings."""
    owner.net.allow(reader.person, "read", "library")
    versions = [stage.folder / f"version{number}.py" for number in (0, 1)]
    for number, path in enumerate(versions):
        path.write_bytes(bytes([65 + number]) * 3_000_000)
    known = {hashlib.sha256(path.read_bytes()).hexdigest() for path in versions}
    writer.net.put(versions[0], "tower:library/swap.py")
    seen: list[str] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            digest = hashlib.sha256()
            for chunk in reader.net.cat("tower:library/swap.py"):
                digest.update(chunk)
            seen.append(digest.hexdigest())

    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(read)
        try:
            for turn in range(6):
                writer.net.put(versions[turn % 2], "tower:library/swap.py")
        finally:
            ended.set()
        reading.result()
    require(len(seen) > 0, "nothing was read during the upload")
    require(set(seen) <= known, "a reader saw a mixture of two versions")
    writer.net.rm("tower:library/swap.py")
    return len(seen)


def _listens(computer: Computer) -> str:
    """Where others can reach its node, if anywhere. Its own sockets are asked: a port may be another program's."""
    listening = [
        f"{connection.laddr[0]}:{connection.laddr[1]}"
        for connection in psutil.Process(computer.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    return ", ".join(at for at in listening if f"http://{at}" != computer.net.status().gateway)
