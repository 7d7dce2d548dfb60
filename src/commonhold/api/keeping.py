"""What the keeper of rules says of people: who is in which group, and how much each may store."""

from __future__ import annotations

from commonhold.answers import Group, Quota, Status
from commonhold.api.doors import Doors


class Keeping(Doors):
    """Groups and quotas that count here: those of this computer's doors, or the server's where there is one."""

    def groups(self) -> list[Group]:
        """The groups, and who is in each. Raises Refused unless one keeps the rules."""
        return self._desk(self._keeper(), "GET", "/groups", answer=list[Group])

    def group_add(self, group: str, *persons: str) -> Group:
        """Put persons into a group, which is made if need be. Raises NotFound, Conflict (the name is taken)."""
        return self._change("add", group, persons)

    def group_remove(self, group: str, *persons: str) -> Group:
        """Take persons out of a group, all when none is named. With the last its rules end (`Group.ended`)."""
        return self._change("remove", group, persons)

    def _change(self, change: str, group: str, persons: tuple[str, ...]) -> Group:
        body = {"change": change, "group": group, "persons": persons}
        return self._desk(self._keeper(), "POST", "/groups", body, answer=Group)

    def quotas(self) -> list[Quota]:
        """What each person has stored and has unfinished, and may; who does not keep the rules sees only their own."""
        return self._desk(self._keeper(), "GET", "/quotas", answer=list[Quota])

    def set_quota(
        self,
        person: str,
        bytes: int | None = None,  # noqa: A002
        files: int | None = None,
        cores: int | None = None,
        memory: int | None = None,
        jobs: int | None = None,
        tasks: int | None = None,
    ) -> Quota:
        """How much somebody may have from now on; None is no limit. Raises Refused, NotFound."""
        limits = {"bytes": bytes, "files": files, "cores": cores, "memory": memory, "jobs": jobs, "tasks": tasks}
        return self._desk(self._keeper(), "POST", "/quotas", {"person": person, **limits}, answer=Quota)

    def _keeper(self) -> str:
        """The computer whose doors are spoken of: nothing for this one, which opens doors itself."""
        status = self._ask("GET", "/api/status", answer=Status)
        return status.jobs_at if status.role == "client" else ""
