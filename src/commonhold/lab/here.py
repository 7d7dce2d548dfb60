"""A comparison on the real computers of a network: all people are played by this one."""

from __future__ import annotations

import secrets
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from commonhold.api import Network
from commonhold.errors import CommonholdError, Refused, WrongUsage
from commonhold.lab.venues import fill
from commonhold.names import folded
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.trials.script import FEWEST
from commonhold.plan.trials.trial import Arrangement, Served

FOLDER = "commonhold-compare"


class ThisComputer:
    """Where all people sit."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.name, self.home, self.folder = "this computer", home, folder

    def start(self, *argv: str) -> subprocess.Popen[str]:
        with (self.folder / "errors.txt").open("ab") as errors:
            return subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
            )


class Here:
    """A folder at each computer that serves, with the files in it that people will look for."""

    def __init__(
        self,
        net: Network,
        home: Path,
        computers: Sequence[str],
        share: str,
        arrangement: Arrangement,
        files: Mapping[str, int],
        tell: Callable[[str], object],
    ) -> None:
        """`computers` are those that are asked; the first is the server."""
        self._net, self._computers, self._files, self._tell = net, computers, files, tell
        serving = computers[:1] if arrangement.shape is Shape.CLIENT_SERVER else computers
        folder = f"{share}/{FOLDER}-{secrets.token_hex(4)}"
        self.places = [f"{each}:{folder}/" for each in computers]
        self._filled = self.places[: len(serving)]
        self.warnings = [
            "All people were played by this computer: its own link and processor bound what they could ask for.",
            "How busy the other computers were, and what their owners felt, was not measured.",
        ]
        self._home = home
        self._ending = ExitStack()
        self.desks: list[ThisComputer] = []

    def __enter__(self) -> Self:
        with ExitStack() as ending:
            folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="commonhold-compare-")))
            fill(folder / "files", self._files)
            for place in self._filled:
                self._tell(f"Putting {sum(self._files.values()) / 1e6:.0f} MB at {place}")
                ending.callback(self._remove, place)
                self._net.put(f"{folder / 'files'}/", place.rstrip("/"), recursive=True)
            self.desks = [ThisComputer(self._home, folder)]
            self._ending = ending.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ending.close()

    def watch(self) -> Callable[[], list[Served]]:
        return lambda: [Served(each, 0, 0, 0.0, 0.0, 0.0) for each in self._computers]

    def _remove(self, place: str) -> None:
        try:
            self._net.rm(place.rstrip("/"), recursive=True)
        except CommonholdError as error:
            self._tell(f"{place} could not be removed: {error.sentence}")


def asked(net: Network, server: str, share: str) -> tuple[list[str], list[str]]:
    """The computers of this network that can be asked, the server first, and a sentence for each that cannot.

    Raises Refused in client-server, NotFound and others for the server, WrongUsage where too few are left.
    """
    members = net.members()
    if any(each.role == "server" for each in members):
        raise Refused(
            "In client-server only the server shares: there is nobody else to ask.",
            "commonhold compare, without --here, tries both shapes on this machine",
        )
    if any(each.here and folded(each.computer) == folded(server) for each in members):
        raise WrongUsage(f"{server} is this computer, and would be asked over no link.", "type it at another computer")
    _require_writable(net, server, share)
    found, without = [server], []
    for each in members:
        if each.here or folded(each.computer) == folded(server):
            continue
        try:
            _require_writable(net, each.computer, share)
            found.append(each.computer)
        except CommonholdError as error:
            without.append(error.sentence)
    if len(found) < FEWEST:
        raise WrongUsage(
            f"{server} alone can be asked: placed evenly or not, it is the same. {' '.join(without)}".strip(),
            f"at another computer: commonhold share FOLDER --name {share} --to PERSON --verb write",
        )
    return found, without


def _require_writable(net: Network, computer: str, share: str) -> None:
    trial = f"{computer}:{share}/{FOLDER}-{secrets.token_hex(4)}"
    try:
        net.mkdir(trial)
        net.rm(trial, recursive=True)
    except CommonholdError as error:
        raise type(error)(f"{computer} cannot be asked: {error.sentence}", error.hint) from None
