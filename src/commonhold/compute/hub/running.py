"""What a job needs in memory while it runs: which of its tasks wait, which are handed out, and what they left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import msgspec

from commonhold.authority.authority import Subject
from commonhold.compute.job import Input, JobSpec, Outcome, State, key_of, parts_of, why_ended, words_for
from commonhold.compute.papers import RemoteFile, Sources
from commonhold.errors import WrongUsage
from commonhold.names import Fingerprint, SharePath

MOST_DEATHS = 2  # of workers that one task may cost
MOST_LOSSES = 5  # computers that vanished without a word while one task ran there


class Running:
    """One job. Its tasks are numbered from 1; those that have not ended wait, or are out."""

    def __init__(self, number: int, subject: Subject, spec: JobSpec, into: str, target: RemoteFile) -> None:
        """`target` is `into`, as its door knows it."""
        self.number = number
        self.subject = subject
        self.spec = spec
        self.into = into.rstrip("/")
        self.target = target
        self.tasks: list[Input | None] = []
        self.places: dict[int, Fingerprint] = {}  # tasks that are for one computer only
        self.sources: dict[int, Sources] = {}
        self.waiting: set[int] = set()
        self.out: dict[int, int] = {}  # by task: in which turn it was handed out
        self.failed = 0
        self.over = asyncio.Event()  # all have ended
        self._turn = 0
        self._deaths: dict[int, int] = {}
        self._losses: dict[int, int] = {}
        self._authors: dict[str, int] = {}  # by output: the first task that left it

    def lay_out(self, tasks: list[Input | None], places: dict[int, Fingerprint], sources: dict[int, Sources]) -> None:
        """Its tasks by their inputs; all of them wait."""
        self.tasks, self.places, self.sources = tasks, places, sources
        self.waiting = set(range(1, len(tasks) + 1))

    def recall(self, ended: Iterable[tuple[int, State, tuple[str, ...]]]) -> None:
        """What the journal says of tasks that have ended: how, and what they left."""
        for task, state, outputs in ended:
            for path in outputs:
                self._authors.setdefault(path, task)
            self.end(task, state)

    @property
    def open(self) -> set[int]:
        """The tasks that have not ended."""
        return self.waiting | self.out.keys()

    def hand_out(self, tasks: Iterable[int]) -> Iterator[dict[str, Any]]:
        """They are out now. -> What a worker gets of each, as task.perform reads it, made when it is taken.

        Of a hundred thousand it would be in memory until the scheduler has the last; one that ended meanwhile is none.
        """
        self._turn += 1
        turn, chosen = self._turn, sorted(tasks)
        self.waiting.difference_update(chosen)
        self.out |= dict.fromkeys(chosen, turn)
        return (self._order(task) for task in chosen if self.out.get(task) == turn)

    def key(self, task: int) -> str:
        """What a task that is out is called."""
        return key_of(self.number, task, self.out[task])

    def _order(self, task: int) -> dict[str, Any]:
        return {
            "key": self.key(task),
            "words": words_for(self.spec.command, self.tasks[task - 1], task),
            "timeout": self.spec.timeout,
            "cores": self.spec.cores,
            "memory": self.spec.memory,
            "fetch": task in self.sources,
            "alone": task in self._deaths,
        }

    def take_back(self, keys: Iterable[str]) -> dict[int, str]:
        """Those of these keys that are still out wait again; returns them by their tasks."""
        found = {task: key for key in keys if (task := self.find(key))}
        for task in found:
            del self.out[task]
            self.waiting.add(task)
        return found

    def find(self, key: str) -> int:
        """The task that is out under that key; 0 for none, and for what was handed out anew since."""
        with suppress(ValueError):
            number, task, turn = parts_of(key)
            if number == self.number and self.out.get(task) == turn:
                return task
        return 0

    def end(self, task: int, state: State) -> None:
        """That task has ended."""
        self.waiting.discard(task)
        self.out.pop(task, None)
        self.failed += state is State.FAILED
        if not (self.waiting or self.out):
            self.over.set()

    def blame(self, task: int, status: int, why: str = "") -> str:
        """Its worker died, with that status, while it ran (0: nobody knows how). -> Why it is not run again.

        `why`: its lender ended it for what it used, and says so.

        Who ran beside it is suspected too; whom two workers have died of ran alone on the second.
        """
        counts, most = (self._deaths, MOST_DEATHS) if status else (self._losses, MOST_LOSSES)
        counts[task] = counts.get(task, 0) + 1
        if counts[task] < most:
            return ""
        if not status:
            return f"{most} computers were lost while it ran there."
        if why:
            return why
        how = f"killed by signal {status - 128}" if status > 128 else f"ended with status {status}"
        return f"It ended the process that ran it, on two workers ({how}): it may need more memory than is lent."

    def outcome(self, told: object) -> Outcome:
        """What a worker says of a task, checked; its outputs as remote paths."""
        outcome = msgspec.convert(told, Outcome, strict=False)
        outputs = []
        for path in outcome.outputs:
            with suppress(WrongUsage):
                outputs.append(f"{self.into}/{SharePath.parse(path)}")
        return msgspec.structs.replace(outcome, outputs=tuple(outputs))

    def why(self, told: object) -> str:
        """What a worker says of a try that is not the last; of one that did not begin, nothing."""
        return why_ended(self.outcome(told)) if told is not None else ""

    def clash(self, task: int, outcome: Outcome) -> str:
        """Why the outputs of a task are not all its own, or nothing. A task that ran twice replaces what it left."""
        for path in outcome.outputs:
            if (first := self._authors.setdefault(path, task)) != task:
                return f"It left “{path}”, and so did task {first}: the later replaced the earlier."
        return ""
