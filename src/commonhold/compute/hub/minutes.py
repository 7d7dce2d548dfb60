"""What becomes of one job's tasks: into the journal, and to whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

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

    def move(self, task: int, state: State, computer: str, outcome: Outcome | None = None, why: str = "") -> None:
        """That task is in that state now; with an outcome it has ended. `why` a try of it came to nothing."""
        if outcome is not None and (clash := self._running.clash(task, outcome)):
            state, outcome = State.FAILED, msgspec.structs.replace(outcome, problem=outcome.problem or clash)
        if not self._journal.move(self._number, task, state, computer, outcome, why):
            return
        if outcome is not None:
            self._running.end(task, state)
            self.schedulers = 0
            self._ended()
        event = {"event": "task", "job": self._number, "task": task, "state": state, "computer": computer}
        told = {"exit": outcome.exit, "problem": outcome.problem} if outcome else {}
        self._news.tell(self._number, event | told)

    def wait_again(self, tasks: Iterable[int], why: str) -> None:
        """What ran them is lost, or could not."""
        with self._journal.together():
            for task in tasks:
                self.move(task, State.WAITING, "", why=why)

    def lose(self, tasks: Mapping[int, str], name: str, farewell: Farewell | None) -> None:
        """These, by their keys, are lost with a worker there: each waits again, or has cost too many."""
        with self._journal.together():
            for task, key in tasks.items():
                if not self._blamed(task, key, farewell):
                    queued = farewell is not None and farewell.status and key not in farewell.executing
                    self.move(task, State.WAITING, "", why="" if queued else _lost(name, farewell))

    def _blamed(self, task: int, key: str, farewell: Farewell | None) -> bool:
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

    def takes_part(self, name: str) -> None:
        """Why that computer did not is past."""
        self._journal.unsay(self._number, f"{name} refused: ", f"{name} does not take part: ")

    def tell_job(self) -> None:
        """How it stands."""
        self._news.tell(self._number, self._news.snapshot(self._number))


def _lost(name: str, farewell: Farewell | None) -> str:
    """Why what ran at that computer has not ended there."""
    if farewell is None or not (farewell.closed or farewell.status):
        return f"{name} was lost"
    if farewell.closed or farewell.why:
        return farewell.why or f"{name} {farewell.closed}"
    how = f"was killed by signal {farewell.status - 128}" if farewell.status > 128 else "ended"
    return f"the worker on {name} {how}"
