"""What a job needs in memory while it runs."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from commonhold.compute.job import Input, JobSpec, Outcome, words_for
from commonhold.compute.papers import RemoteFile, Sources
from commonhold.compute.session import Session
from commonhold.errors import WrongUsage
from commonhold.names import SharePath


class Running:
    """What a job needs in memory while it runs."""

    def __init__(self, number: int, session: Session, tasks: list[Input | None], into: str, target: RemoteFile) -> None:
        self.number = number
        self.session = session
        self.tasks = tasks
        self.into = into.rstrip("/")  # the same as `target`, as people write it
        self.target = target
        self.left = len(tasks)
        self.failed = 0
        self.bound: set[str] = set()  # participants without which some of its tasks cannot run
        self.sources: dict[int, Sources] = {}
        self._authors: dict[str, int] = {}  # by output: the first task that left it

    def key(self, task: int) -> str:
        return f"{self.number}-{task}"

    def order(self, spec: JobSpec, task: int) -> dict[str, Any]:
        """What a worker gets: as task.perform reads it."""
        return {
            "key": self.key(task),
            "job": self.number,
            "task": task,
            "words": words_for(spec.command, self.tasks[task - 1]),
            "timeout": spec.timeout,
            "fetch": task in self.sources,
        }

    def outcome(self, told: object) -> Outcome:
        """What a worker says of a task, checked; its outputs as remote paths."""
        outcome = msgspec.convert(told, Outcome, strict=False)
        outputs = []
        for path in outcome.outputs:
            with suppress(WrongUsage):
                outputs.append(f"{self.into}/{SharePath.parse(path)}")
        return msgspec.structs.replace(outcome, outputs=tuple(outputs))

    def clash(self, task: int, outcome: Outcome) -> str:
        """Why the outputs of a task are not all its own, or nothing. A task that ran twice replaces what it left."""
        for path in outcome.outputs:
            if (first := self._authors.setdefault(path, task)) != task:
                return f"It left “{path}”, and so did task {first}: the later replaced the earlier."
        return ""
