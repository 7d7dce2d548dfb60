"""What becomes of one job's tasks: into the journal, and to whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from commonhold.compute.hub.means import Means
from commonhold.compute.hub.running import Running
from commonhold.compute.job import Outcome, State
from commonhold.compute.papers import Farewell


class Minutes:
    """Of one job. `ended` is called whenever one of its tasks has."""

    def __init__(self, running: Running, means: Means, ended: Callable[[], None]) -> None:
        self.schedulers = 0  # lost since any task ended
        self._running = running
        self._number = running.number
        self._journal = means.journal
        self._news = means.news
        self._ended = ended

    def move(self, task: int, state: State, computer: str, outcome: Outcome | None = None) -> None:
        """That task is in that state now; with an outcome it has ended."""
        if outcome is not None and (clash := self._running.clash(task, outcome)):
            state, outcome = State.FAILED, msgspec.structs.replace(outcome, problem=outcome.problem or clash)
        if not self._journal.move(self._number, task, state, computer, outcome):
            return
        if outcome is not None:
            self._running.end(task, state)
            self.schedulers = 0
            self._ended()
        event = {"event": "task", "job": self._number, "task": task, "state": state, "computer": computer}
        told = {"exit": outcome.exit, "problem": outcome.problem} if outcome else {}
        self._news.tell(self._number, event | told)

    def wait_again(self, tasks: Iterable[int]) -> None:
        """What ran them is lost."""
        with self._journal.together():
            for task in tasks:
                self.move(task, State.WAITING, "")

    def blamed(self, task: int, key: str, farewell: Farewell | None) -> bool:
        """Whether that task, lost with its worker, has cost too many of these, and has failed."""
        if farewell is not None and (not farewell.status or key not in farewell.executing):
            return False
        problem = self._running.blame(task, farewell.status, farewell.why) if farewell else self._running.blame(task, 0)
        if problem:
            self.move(task, State.FAILED, "", Outcome(problem=problem))
        return bool(problem)

    def take_stored(self, farewell: Farewell) -> None:
        """Tasks whose outputs are at their door are done, though their worker could not say so any more."""
        for key, told in farewell.stored.items():
            if (task := self._running.find(key)) and told.exit == 0:
                self.move(task, State.DONE, told.computer, self._running.outcome(told))

    def note(self, sentence: str) -> None:
        """Tell its person, and whoever watches."""
        self._journal.note(self._number, sentence)
        self._news.tell(self._number, {"event": "note", "job": self._number, "note": sentence})

    def tell_job(self) -> None:
        """How it stands."""
        self._news.tell(self._number, self._news.snapshot(self._number))
