"""Which modules the lenders of a session have: each is asked once for each, before a function is sent to it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from commonhold.compute.sandboxed.calling import missing
from commonhold.compute.submitter.client import LentClient
from commonhold.errors import NotFound, Unreachable

APPEARS_WITHIN = 40.0  # seconds until some worker must have come
LOOK_EVERY = 0.05


class Supplies:
    """Of one session. `processes` are its workers as they are now. Blocks; one thread at a time."""

    def __init__(self, client: LentClient) -> None:
        self._client = client
        self._has: dict[tuple[str, str], bool] = {}  # (lender, module)
        self.processes: list[str] = []  # addresses

    def look(self) -> None:
        self.processes = list(self._client.nthreads())  # type: ignore[no-untyped-call]

    def await_some(self) -> None:
        """Until there is a worker. Raises Unreachable, or what ended the session."""
        deadline = time.monotonic() + APPEARS_WITHIN
        while not self.processes:
            if self._client.holding.trouble is not None:
                raise self._client.holding.trouble
            if time.monotonic() > deadline:
                raise Unreachable("No computer that lends has started to compute.", "commonhold status at each")
            time.sleep(LOOK_EVERY)
            self.look()

    def fit(self, modules: Iterable[str]) -> tuple[list[str] | None, list[str]]:
        """-> (the processes that have these modules, None when all have; a sentence for each lender that has not)."""
        wanted = sorted(modules)
        if not wanted:
            return None, []
        self.await_some()
        lenders = {lender_of(process): process for process in self.processes}
        self._ask(lenders, wanted)
        lacking = {each: [name for name in wanted if not self._has.get((each, name), True)] for each in lenders}
        sentences = [self._sentence(each, names) for each, names in sorted(lacking.items()) if names]
        if not sentences:
            return None, []
        return [process for process in self.processes if not lacking[lender_of(process)]], sentences

    def require(self, modules: Iterable[str]) -> list[str]:
        """The sentences; raises NotFound with them when nobody has all of these modules."""
        processes, sentences = self.fit(modules)
        if processes == []:
            raise NotFound(
                f"No computer has what the function needs. {' '.join(sentences)}",
                'let its package travel along (env=["PACKAGE"]), or install it where Commonhold is, at a lender',
            )
        return sentences

    def _ask(self, lenders: dict[str, str], wanted: list[str]) -> None:
        new = {each: at for each, at in lenders.items() if any((each, name) not in self._has for name in wanted)}
        if not new:
            return
        answers: dict[str, Any] = self._client.run(missing, wanted, workers=list(new.values()), on_error="ignore")
        for each, process in new.items():
            if isinstance(lacks := answers.get(process), list):
                self._has |= {(each, name): name not in lacks for name in wanted}

    def _sentence(self, lender: str, names: list[str]) -> str:
        computer = self._client.holding.lenders.get(lender, lender)
        kind = "module" if len(names) == 1 else "modules"
        return f"{computer} has no {kind} {', '.join(f'“{name}”' for name in names)}."


def lender_of(process: str) -> str:
    """`hold://p3.1` is a process of lender p3."""
    return process.rpartition("/")[2].partition(".")[0]
