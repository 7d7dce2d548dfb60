"""Starts a process that may touch nothing of the owner's: with bubblewrap, or with limits only.

With bubblewrap it sees the system's programs, the Python environment that runs us and a folder of
its own; no home, no network (not even loopback), no other process. Without, it is an ordinary
process of the owner's account with limits, fit for people whom the owner named (lend.py asks).

Whichever it is, killing it is certain: the outer bubblewrap takes its whole process namespace along;
otherwise everything in the process's POSIX session goes. Either dies with the node, by bubblewrap's
--die-with-parent or because its standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import psutil

import commonhold
from commonhold.compute.channel import LONGEST_LINE, Channel, Handler
from commonhold.compute.hindrance import Hindrance, likes, switched_off

PROGRAM = "commonhold.compute.sandboxed.inside"
TEMPORARY = "tmp"  # the folder in it that the process sees as /tmp
INSIDE = Path("/session")  # where the process sees its folder, under bubblewrap
ENVIRONMENT = Path("/environment")  # and where the packages that came with its session
# Where memory runs out all the same, guests are the first to go; said before they can say anything.
FIRST_TO_GO = ("/bin/sh", "-c", 'echo 1000 > /proc/self/oom_score_adj; exec "$@"', "sh")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt")
SETTINGS = (  # what programs need in order to start and to name users; nothing that is secret
    "/etc/alternatives",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
)


CONTAINERS = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")  # where one of these is, it is one


class Kind(StrEnum):
    BUBBLEWRAP = "bubblewrap"
    LIMITS = "limits"


@functools.cache
def bubblewrap() -> str | None:
    """Where bubblewrap is."""
    return shutil.which("bwrap")


_known: dict[str, Kind] = {}
_said: list[str] = []  # what bubblewrap said when it was tried


async def here(folder: Path | None = None) -> Kind:
    """Which sandbox holds on this computer: found out by starting one, once, in a folder below that one.

    bubblewrap may be installed and yet be forbidden to make namespaces (Ubuntu ≥ 23.10: bubblewrap#632).
    """
    if "kind" not in _known:
        _known["kind"] = Kind.BUBBLEWRAP if await _starts(folder) else Kind.LIMITS
    return _known["kind"]


def hindrance() -> Hindrance:
    """What keeps bubblewrap from holding here, where it does not. Reads files."""
    return Hindrance(
        linux=sys.platform == "linux",
        installed=bubblewrap() is not None,
        system=likes(_read("/etc/os-release")),
        container=any(Path(mark).exists() for mark in CONTAINERS),
        profiles_only=_read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").strip() == "1",
        switched_off=switched_off(
            _read("/proc/sys/kernel/unprivileged_userns_clone"), _read("/proc/sys/user/max_user_namespaces")
        ),
        said="".join(_said).removeprefix("bwrap: ").rstrip("."),
    )


def _read(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text()
    return ""


def counts_alone(kind: Kind) -> bool:
    """Whether the system counts the processes of a sandbox by themselves, so that a limit of them bounds nobody else.

    Linux does since 5.14, for each user namespace; before, for all that its user has running.
    """
    version = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2] if part.isdecimal())
    return kind is Kind.BUBBLEWRAP and version >= (5, 14)


async def _starts(folder: Path | None) -> bool:
    if sys.platform != "linux" or bubblewrap() is None:
        return False
    with tempfile.TemporaryDirectory(dir=folder) as place:
        (Path(place) / TEMPORARY).mkdir()
        trial = await asyncio.create_subprocess_exec(
            *_wrapped(Path(place)), "true", stdin=-3, stdout=-3, stderr=-1, env=_environment()
        )
        _, said = await trial.communicate()
        _said[:] = said.decode(errors="replace").splitlines()[:1]
        return trial.returncode == 0


def _environment() -> dict[str, str]:
    """What the process is told of the owner's environment: nothing."""
    return {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin")),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MALLOC_ARENA_MAX": "2",  # a worker's threads would each hold memory of their own (glibc)
    }


def _interpreter() -> Iterator[Path]:
    """The folders without which this Python does not start; some lie in a home (pyenv, uv, pipx)."""
    package = Path(commonhold.__file__).parent
    for folder in (sys.prefix, sys.base_prefix, sys.exec_prefix, package):
        yield Path(folder)
        yield Path(folder).resolve()


def _wrapped(folder: Path, *also: str) -> list[str]:
    """bubblewrap's command line up to the program; `also` are more of its words, for what is to be seen there."""
    words = [str(bubblewrap()), "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    words += ["--hostname", "commonhold", "--proc", "/proc", "--remount-ro", "/proc"]
    words += ["--dev", "/dev", "--remount-ro", "/dev"]
    words += ["--tmpfs", "/dev/shm"]  # noqa: S108 - the only place that is memory: the warden counts what is in it
    words += ["--bind", str(folder / TEMPORARY), "/tmp"]  # noqa: S108
    for place in SYSTEM:
        if Path(place).is_symlink():
            words += ["--symlink", str(Path(place).readlink()), place]
        else:
            words += ["--ro-bind-try", place, place]
    for place in SETTINGS:
        words += ["--ro-bind-try", place, place]
    seen = [Path(place) for place in SYSTEM]
    for needed in _interpreter():
        if not any(needed.is_relative_to(place) for place in seen):
            seen.append(needed)
            words += ["--ro-bind", str(needed), str(needed)]
    words += ["--bind", str(folder), str(INSIDE), *also, "--remount-ro", "/"]
    return [*words, "--chdir", str(INSIDE), "--setenv", "HOME", str(INSIDE)]


class Sandbox:
    """One running program: `channel` to speak with it, `streams` over which connections travel (comm.py).

    There is one such socket for each process that takes part in the session.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, kind: Kind, streams: list[socket.socket], channel: Channel
    ) -> None:
        self.kind = kind
        self.streams = streams
        self.channel = channel
        self._process = process

    @classmethod
    async def start(
        cls,
        folder: Path,
        handler: Handler,
        kind: Kind | None = None,
        processes: int = 1,
        environment: Path | None = None,
        writable: bool = False,
    ) -> Sandbox:
        """Start our program in `folder`, which is its own; what it writes on standard error goes to `FOLDER.log`.

        What lies in `environment` it finds first; to change it is only for what makes one (`writable`).
        """
        kind = kind or await here()
        (folder / TEMPORARY).mkdir(mode=0o700, exist_ok=True)
        where = str(INSIDE) if kind is Kind.BUBBLEWRAP else str(folder)
        prefix, packages = [], environment
        if kind is Kind.BUBBLEWRAP:
            also = []
            if environment is not None:
                packages = ENVIRONMENT
                also = ["--bind" if writable else "--ro-bind", str(environment), str(packages)]
            prefix = _wrapped(folder, *also)
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(processes)]
        its_streams = [theirs.fileno() for _, theirs in pairs]
        speech, its_speech = socket.socketpair()
        with contextlib.ExitStack() as its_own, folder.with_suffix(".log").open("ab") as log:
            for each in (its_speech, *(theirs for _, theirs in pairs)):
                its_own.enter_context(each)
            process = await asyncio.create_subprocess_exec(
                *(FIRST_TO_GO if sys.platform == "linux" else ()),
                *prefix,
                *(sys.executable, "-I", "-m", PROGRAM, ",".join(map(str, its_streams)), where),
                *([str(packages)] if packages else []),
                stdin=its_speech.fileno(),
                stdout=log,
                stderr=log,
                pass_fds=its_streams,
                env=_environment() | {"HOME": where, "TMPDIR": where},  # what is left there ends with the session
                cwd=folder,
                start_new_session=True,
            )
        reader, writer = await asyncio.open_unix_connection(sock=speech, limit=LONGEST_LINE)
        streams = [ours for ours, _ in pairs]
        for each in streams:
            each.setblocking(False)
        return cls(process, kind, streams, Channel(reader, writer, handler))

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        """Until it has ended; what it left of its session is killed then."""
        status = await self._process.wait()
        self.kill()
        return status

    async def died(self, within: float) -> int:
        """With which status it has ended by itself, or does within so many seconds; 0 for one that has not.

        Above 128: by a signal.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._process.wait()
        status = self._process.returncode or 0
        return status if status >= 0 else 128 - status

    def strike(self) -> None:
        """Kill its processes; in any thread. `wait` returns then."""
        if self.kind is Kind.LIMITS:
            end_session(self.pid)
        if self._process.returncode is None:
            # Process.kill() would reap it, behind asyncio's back. A bubblewrap that has only just begun has a child
            # that does not die with it yet: it is in its group, or, frozen a moment later, in a session of its own.
            with contextlib.suppress(OSError):  # it has ended, or this system has no such file, and no bubblewrap
                for child in children(self.pid):
                    os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End it and all that it started, now. May be called twice."""
        self.strike()
        self.channel.close()
        for each in self.streams:
            each.close()


def children(process: int) -> list[int]:
    """Of its first thread, as Linux tells (proc(5)). Raises OSError where it does not, or there is no such process."""
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def end_session(leader: int, spare: int = 0) -> None:
    """SIGKILL every process of the POSIX session `leader`, and all that descends from that, but `spare`.

    A group is not enough: each task's command is a group of its own, so that its time-out can end it. What calls
    setsid(2) still descends from the worker, which takes in whose parents have ended (orphans.py), unless it ends
    that first. Then its group ends it, where there is one (backrow.py) that it has not left; that is one reason why
    this sandbox is for named people only.
    """
    doomed: set[int] = set()
    with contextlib.suppress(psutil.Error):
        doomed.update(process.pid for process in psutil.Process(leader).children(recursive=True))
    for entry in Path("/proc").iterdir() if sys.platform == "linux" else ():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if os.getsid(int(entry.name)) == leader:
                    doomed.add(int(entry.name))
    for process in doomed - {spare}:
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)
    if not spare:
        with contextlib.suppress(OSError):
            os.killpg(leader, signal.SIGKILL)
