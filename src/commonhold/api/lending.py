"""On which terms this computer lends its processors."""

from __future__ import annotations

from commonhold.answers import LendingNow
from commonhold.api.asking import Asking


class Lends(Asking):
    """This computer's processors for others."""

    def lend(
        self,
        *who: str,
        when: str | None = None,
        cores: int | None = None,
        memory: int | None = None,
        disk: int | None = None,
        hours: str | None = None,
    ) -> LendingNow:
        """Change the terms of lending, or with nothing named show them. It is on the disk when this returns.

        `who` (persons, groups, `members`, `guests`) may run here from now on, by the rule that `allow` would say.
        `when` is `always`, `idle` or `never`, which ends guests. 0 cores are all; 0 bytes of memory or disk are
        half of what there is, or is free; `hours` are `19-7` or `always`. Raises Refused (a client lends nothing),
        WrongUsage, NotFound.
        """
        terms = {"when": when, "cores": cores, "memory": memory, "disk": disk, "hours": hours}
        if not who and all(value is None for value in terms.values()):
            return self._ask("GET", "/api/lending", answer=LendingNow)
        return self._ask("POST", "/api/lending", terms | {"who": who}, answer=LendingNow)
