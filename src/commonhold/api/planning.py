"""Advice: which shape suits this network, or one that is only thought of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from commonhold.api.membership import Membership
from commonhold.names import folded
from commonhold.plan.advise import Advice
from commonhold.plan.scenario import Provenance, Scenario, Value, told
from commonhold.plan.seeded import advised


class Planning(Membership):
    """What a network knows of itself, for the models."""

    def scenario(self, workload: str = "office", numbers: Mapping[str, float] | None = None) -> Scenario:
        """This network's computers and people, what is told in `numbers` (plan/fields.py), and assumptions.

        Raises WrongUsage for a number that makes no sense.
        """
        members = self.members()
        people = {folded(each.person) for each in members}
        known = {"computers": _counted(len(members)), "people": _counted(len(people))}
        return Scenario(known | told(numbers or {}), workload)

    def advise(self, workload: str = "office", **numbers: float) -> Advice:
        """Which shape suits this network. Raises WrongUsage for a number that makes no sense."""
        return advised(self.scenario(workload, numbers))


def _counted(number: int) -> Value:
    source, today = "the members of this network", datetime.now(UTC).date()
    return Value(float(number), Provenance.MEASURED, source, number, number, today)
