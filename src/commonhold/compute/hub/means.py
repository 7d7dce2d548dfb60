"""What all dispatches of a hub work with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from commonhold.compute.hub.briefing import Briefing
from commonhold.compute.hub.news import News
from commonhold.compute.hub.opening import Opening
from commonhold.compute.hub.warm import WarmSessions
from commonhold.compute.job import Input
from commonhold.compute.journal import Journal
from commonhold.compute.papers import PassDesk, RemoteFile, Sources
from commonhold.names import Fingerprint, RemotePath


class Patience(NamedTuple):
    """How long what may come back is waited for, in seconds."""

    silence: float = 15.0  # until a worker that says nothing is given up
    waiting: float = 300.0  # for a computer that takes a job's tasks, once one has
    soon: float = 1.0  # between two tries when nothing runs; each pause is twice the one before
    later: float = 5.0  # until other computers are asked, too, while some compute
    longest: float = 30.0


@dataclass(frozen=True)
class Means:
    """The hub's own parts, and its patience. `find` knows a computer by its name."""

    computer: str
    here: Fingerprint
    journal: Journal
    news: News
    sessions: WarmSessions
    briefing: Briefing
    desk: PassDesk
    opening: Opening
    find: Callable[[str], Fingerprint]
    patience: Patience

    def remote(self, text: str) -> RemoteFile:
        """A remote path as its door knows it. Raises NotFound for a computer that is none."""
        path = RemotePath.parse(text)
        own = path.computer.casefold() == self.computer.casefold()
        return RemoteFile(self.here if own else self.find(path.computer), path.share, str(path.path))

    def sources(self, number: int, tasks: Iterable[Input | None]) -> dict[int, Sources]:
        """Where the input files of a job's tasks lie."""
        found = {}
        for task, given in enumerate(tasks, 1):
            if given is None or given.kind == "value":
                continue
            local = RemoteFile(self.here, f".job-{number}", str(given.uploaded))
            found[task] = Sources(self.remote(given.text) if given.kind == "remote" else local, given.name)
        return found
