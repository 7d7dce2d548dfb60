"""What the keeper of rules says of people: who is in which group."""

from __future__ import annotations

from commonhold.answers import Group, Status
from commonhold.api.doors import Doors


class Keeping(Doors):
    """Groups of the rules that count here: this computer's, or the server's where there is one."""

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

    def _keeper(self) -> str:
        """The computer whose doors are spoken of: nothing for this one, which opens doors itself."""
        status = self._ask("GET", "/api/status", answer=Status)
        return status.jobs_at if status.role == "client" else ""
