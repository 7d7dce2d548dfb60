"""The Python API: the same verbs as the commands.

    import commonhold

    with commonhold.connect() as net:
        for entry in net.ls("tower:photos"):
            print(entry.path, entry.size)
        net.get("tower:photos/a.jpg", ".")

Methods block and may be called from any thread. They raise the errors of `commonhold.errors`, one
sentence and one hint each. What concerns the network is asked of this computer's node; bytes go
straight between this process and the other computer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar, cast
from urllib.parse import quote, urlencode

from commonhold.answers import Explanation, JoiningCode, KnownComputer, Place, Removal, Ruling, SharedFolder, Status
from commonhold.compute.job import Job, JobSpec, Task
from commonhold.errors import Damaged, PartlyFailed, Refused, WrongUsage
from commonhold.files import copy, remote
from commonhold.files.copy import Progress, Report
from commonhold.files.entry import Entry
from commonhold.home import Home
from commonhold.identity.certificate import Certificate
from commonhold.identity.keys import Key
from commonhold.names import RemotePath
from commonhold.submit import JobEvent, Submitter
from commonhold.transport import Caller, LocalCaller, LoopThread, Peer
from commonhold.wire import convert

T = TypeVar("T")
FileProgress = Callable[[Progress], None]
SPOOLED = 8 * 2**20  # bytes of a remote file that `open` keeps in memory before it takes a temporary file


def connect(home: str | Path | Home | None = None) -> Network:
    """The network that this computer belongs to, through its running node.

    `home` defaults to $COMMONHOLD_HOME, else to the platform's folder. Raises NotFound when this
    computer has joined no network, NodeNotRunning when its node is down.
    """
    return Network(home if isinstance(home, Home) else Home.find(str(home) if home is not None else None))


class Network:
    """One network, as this computer's person may use it. A context manager; `close` ends its connections."""

    def __init__(self, home: Home) -> None:
        card = home.gateway()
        key, certificate = Key.load(home.key), _certificate(home)
        self._loop = LoopThread()
        self._node = LocalCaller(card.url, card.secret)
        self._caller = Caller(key, certificate)
        self._submitter = Submitter(self._node, self._caller, self._peer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all connections; the node goes on."""
        if self._loop.open:
            self._loop.run(self._caller.close())
            self._loop.run(self._node.close())
            self._loop.close()

    # The network and its people

    def status(self) -> Status:
        """This computer, its node, what it shares and lends."""
        return self._ask("GET", "/api/status", answer=Status)

    def members(self) -> list[KnownComputer]:
        """Every computer of the network."""
        return self._ask("GET", "/api/members", answer=list[KnownComputer])

    def invite(self, person: str | None = None, minutes: float = 10, uses: int = 1) -> JoiningCode:
        """A code to join with. `person`: whose further computer it is for. Raises Refused unless this is a guard."""
        return self._ask(
            "POST", "/api/invitations", {"person": person, "minutes": minutes, "uses": uses}, answer=JoiningCode
        )

    def remove(self, member: str) -> Removal:
        """Remove a computer, or a person with all computers, for ever. Raises Refused, NotFound."""
        return self._ask("DELETE", f"/api/members/{quote(member, safe='')}", answer=Removal)

    # Doors and rules

    def share(
        self, folder: str | Path, name: str | None = None, to: str | None = None, verb: str | None = None
    ) -> SharedFolder:
        """Offer a folder under a name (its own, unless told), and say at once to whom. Raises Conflict, NotFound."""
        if bool(to) != bool(verb):
            raise WrongUsage("To whom and what they may do belong together.", "give both: --to WHO --verb VERB")
        body = {"folder": str(Path(folder).expanduser().absolute()), "name": name, "to": to, "verb": verb}
        return self._ask("POST", "/api/shares", body, answer=SharedFolder)

    def unshare(self, name: str) -> SharedFolder:
        """Stop to offer a folder; its files stay, its rules go. Raises NotFound."""
        return self._ask("DELETE", f"/api/shares/{quote(name, safe='')}", answer=SharedFolder)

    def allow(self, who: str, verb: str, door: str, until: datetime | None = None) -> Ruling:
        """Let a person, or `members`, do something at a door (`SHARE`, `compute`, `COMPUTER:DOOR`)."""
        return self._say("allow", who, verb, door, until)

    def deny(self, who: str, verb: str, door: str, until: datetime | None = None) -> Ruling:
        """Take a right back; for a person or a computer the denial also wins over wider rules."""
        return self._say("deny", who, verb, door, until)

    def rules(self, door: str | None = None) -> list[Ruling]:
        """The rules of this computer's doors, or of one door."""
        computer, name = _split_door(door or "")
        return self._desk(computer, "GET", f"/rules?{urlencode({'door': name})}", answer=list[Ruling])

    def explain(self, who: str, verb: str, door: str) -> Explanation:
        """Whether somebody may do something at a door, and which rule says so."""
        computer, name = _split_door(door)
        query = urlencode({"who": who, "verb": verb, "door": name})
        return self._desk(computer, "GET", f"/explanation?{query}", answer=Explanation)

    def _say(self, effect: str, who: str, verb: str, door: str, until: datetime | None) -> Ruling:
        computer, name = _split_door(door)
        body = {"effect": effect, "who": who, "verb": verb, "door": name, "until": until}
        return self._desk(computer, "POST", "/rules", body, answer=Ruling)

    def _desk(self, computer: str, method: str, path: str, body: object = None, *, answer: type[T]) -> T:
        """Ask the desk of this computer, or of another that lets us."""
        if not computer:
            return self._ask(method, path, body, answer=answer)
        return convert(self._loop.run(self._ask_there(computer, method, path, body)), answer)

    async def _ask_there(self, computer: str, method: str, path: str, body: object) -> Any:
        return await self._caller.ask(await self._peer(computer), method, path, body)

    # Files

    def ls(self, where: str = "", recursive: bool = False) -> list[Entry]:
        """What lies at `COMPUTER:SHARE/PATH`; `COMPUTER:` lists its shares, nothing lists the computers."""
        if not where:
            return [
                Entry(path=f"{m.computer}:", kind="computer", size=0, modified=m.seen, etag="") for m in self.members()
            ]
        target = RemotePath.parse(where)
        return self._loop.run(self._ls(target, recursive))

    async def _ls(self, target: RemotePath, recursive: bool) -> list[Entry]:
        peer = await self._peer(target.computer)
        if not target.share:
            return await remote.shares(self._caller, peer)
        return await remote.ls(self._caller, peer, target.share, target.path, recursive=recursive)

    def cat(self, where: str) -> Iterator[bytes]:
        """The bytes of a remote file, as they come."""
        target = RemotePath.parse(where)
        peer = self._loop.run(self._peer(target.computer))
        return self._loop.iterate(remote.read(self._caller, peer, target.share, target.path))

    def open(self, where: str) -> IO[bytes]:
        """A remote file, read whole into a spooled temporary file that starts at its beginning."""
        spooled = tempfile.SpooledTemporaryFile(max_size=SPOOLED)  # noqa: SIM115 - the caller's to close
        for chunk in self.cat(where):
            spooled.write(chunk)
        spooled.seek(0)
        return cast("IO[bytes]", spooled)

    def get(
        self, where: str, local: str | Path = ".", recursive: bool = False, progress: FileProgress | None = None
    ) -> Report:
        """Copy a remote file, or with `recursive` a folder, to this computer; verified by SHA-256, renamed when whole.

        A transfer that broke is taken up where it stopped. Raises PartlyFailed when some files failed.
        """
        target = RemotePath.parse(where)
        return _whole(self._loop.run(self._get(target, Path(local).expanduser(), recursive, progress)))

    async def _get(self, target: RemotePath, local: Path, recursive: bool, progress: FileProgress | None) -> Report:
        peer = await self._peer(target.computer)
        return await copy.get(
            self._caller, peer, target.share, target.path, local, recursive=recursive, progress=progress
        )

    def put(
        self, local: str | Path, where: str, recursive: bool = False, progress: FileProgress | None = None
    ) -> Report:
        """Copy a local file, or with `recursive` a folder, to `COMPUTER:SHARE/PATH`; each file replaces atomically.

        The answer comes when the bytes are on the other computer's disk. Raises Conflict when a file
        changed there meanwhile, PartlyFailed when some files failed.
        """
        target = RemotePath.parse(where)
        return _whole(self._loop.run(self._put(Path(local).expanduser(), target, recursive, progress)))

    async def _put(self, local: Path, target: RemotePath, recursive: bool, progress: FileProgress | None) -> Report:
        peer = await self._peer(target.computer)
        return await copy.put(
            self._caller, peer, local, target.share, target.path, recursive=recursive, progress=progress
        )

    def mkdir(self, where: str, parents: bool = False) -> None:
        """Make a folder; with `parents` those above it too, and no error when it is there."""
        target = RemotePath.parse(where)
        self._loop.run(self._mkdir(target, parents))

    async def _mkdir(self, target: RemotePath, parents: bool) -> None:
        await remote.mkdir(self._caller, await self._peer(target.computer), target.share, target.path, parents=parents)

    def rm(self, where: str, recursive: bool = False) -> None:
        """Delete a file, or with `recursive` a folder and all in it."""
        self._loop.run(self._rm(RemotePath.parse(where), recursive))

    async def _rm(self, target: RemotePath, recursive: bool) -> None:
        await remote.rm(self._caller, await self._peer(target.computer), target.share, target.path, recursive=recursive)

    # Processors

    def run(
        self,
        command: str | Sequence[str],
        inputs: Sequence[str] = (),
        into: str | None = None,
        on: str = "any",
        *,
        timeout: float | None = None,
        retries: int = 0,
        cores: int = 1,
        wait: bool = True,
        progress: Callable[[JobEvent], None] | None = None,
    ) -> Job:
        """Run a command once for each input, on the processors that this person may use.

        One string is given to `sh -c`, several words run without a shell. An input is a remote file
        (`COMPUTER:SHARE/PATH`, globs too), a file that exists here, or a plain value. New files go to
        the folder `into`, else to the job's own (`Job.into`). With `wait` the job is returned when it
        has ended; tasks that failed are counted in it and told by `log`. Raises Refused when no
        computer lends, NotFound for inputs that are not there.
        """
        words = command if isinstance(command, str) else tuple(command)
        spec = JobSpec(words, (), into, on, timeout, retries, cores)
        return self._loop.run(self._submitter.run(spec, inputs, wait, progress))

    def jobs(self) -> list[Job]:
        """The jobs of this person; at a hub its owner sees all."""
        return self._loop.run(self._submitter.jobs())

    def job(self, number: int) -> Job:
        """One job. Raises NotFound."""
        return self._loop.run(self._submitter.job(number))

    def follow(self, job: int, progress: Callable[[JobEvent], None] | None = None) -> Job:
        """Wait for a job; `progress` hears of every change, from the beginning."""
        return self._loop.run(self._submitter.follow(job, progress))

    def log(self, job: int, task: int | None = None) -> list[Task]:
        """What the tasks of a job printed, and how they ended."""
        return self._loop.run(self._submitter.log(job, task))

    # The node, and other computers

    def _ask(self, method: str, path: str, body: object = None, *, answer: type[T]) -> T:
        return convert(self._loop.run(self._node.ask(method, path, body)), answer)

    async def _peer(self, computer: str) -> Peer:
        """Where that computer is and whom to expect; asked each time (1 ms), since it may move meanwhile."""
        place = convert(await self._node.ask("GET", f"/api/places/{quote(computer, safe='')}"), Place)
        if not place.shares:
            raise Refused(
                f"{place.computer} is a client: it shares nothing and opens no door.",
                "look for the files at the server",
            )
        return place.peer()


def _certificate(home: Home) -> Certificate:
    try:
        return Certificate.parse(home.certificate.read_bytes())
    except (OSError, Refused) as error:
        raise Damaged(f"{home.certificate} is damaged.", "commonhold down; commonhold up writes it anew") from error


def _split_door(door: str) -> tuple[str, str]:
    """`COMPUTER:DOOR` or `DOOR` -> (computer or nothing, door)."""
    computer, colon, name = door.partition(":")
    return (computer, name) if colon else ("", door)


def _whole(report: Report) -> Report:
    """The report, or PartlyFailed with what failed; the error itself when nothing else was asked for."""
    if not report.failed:
        return report
    path, sentence = report.failed[0]
    raise PartlyFailed(
        f"{len(report.failed)} of {report.files + len(report.failed)} files failed; the first, {path}: {sentence}",
        "the same command takes up what is missing",
        failed=[{"path": path, "error": sentence} for path, sentence in report.failed],
        files=report.files,
        bytes=report.bytes,
    )
