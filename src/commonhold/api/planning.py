"""Advice: which shape suits this network, or one that is only thought of; and what was measured for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from commonhold.api.membership import Membership
from commonhold.errors import Damaged, WrongUsage
from commonhold.home import Home, write_private
from commonhold.names import folded
from commonhold.plan.reach.exposure import Exposure, Measure
from commonhold.plan.values.scenario import Provenance, Scenario, Value, parse, told

if TYPE_CHECKING:
    from commonhold.plan.advise import Advice
    from commonhold.plan.forecast import Model


class Planning(Membership):
    """What a network knows of itself, for the models."""

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self._home = home

    def measured(self) -> dict[str, Value]:
        """What `commonhold measure` has found so far, by name. Raises Damaged when its file cannot be read."""
        return measured(self._home)

    def scenario(self, workload: str = "office", numbers: Mapping[str, float] | None = None) -> Scenario:
        """This network: what is told in `numbers` (plan/values/fields.py), else what was measured, else assumptions.

        Its computers and people are counted, the people only where no other `computers` are told: one of twelve is
        no network of these. Raises WrongUsage for a number that makes no sense, Damaged.
        """
        members = self.members()
        people = {folded(each.person) for each in members}
        counted = {"computers": _counted(len(members))}
        if "computers" not in (numbers or {}):
            counted["people"] = _counted(len(people))
        return Scenario(self.measured() | counted | told(numbers or {}), workload)

    def advise(self, workload: str = "office", **numbers: float) -> Advice:
        """Which shape suits this network, and one of other `computers`. Raises WrongUsage for what makes no sense."""
        from commonhold.plan.seeded import advised  # noqa: PLC0415 - all models: 50 ms that no other command waits for

        return advised(self.scenario(workload, numbers), None if "computers" in numbers else self.expose(), today())

    def model(
        self, people: Sequence[int] = (), workload: str = "office", *, percentiles: bool = False, **numbers: float
    ) -> Model:
        """Throughputs, waits and loads for these numbers of people in both shapes, and what either costs.

        `percentiles`: by a simulation as well. Raises WrongUsage for a number that makes no sense.
        """
        from commonhold.plan.seeded import modelled  # noqa: PLC0415 - as above

        return modelled(self.scenario(workload, numbers), people, percentiles)

    def expose(self, what_if: str = "", by: Measure = "files") -> Exposure:
        """Who could read or destroy what: each key, password and computer, worst first, as far as the rules are known.

        `what_if` is one change ("allow bob write photos", "deny …", "group add admins bob", "remove bob"), tried on
        copies; `by` is what is counted. Raises WrongUsage, NotFound and Conflict for a change that could not be made.
        """
        return self._ask("GET", f"/api/exposure?{urlencode({'what-if': what_if, 'by': by})}", answer=Exposure)


def measured(home: Home) -> dict[str, Value]:
    """What was measured from that home, with its node up or down. Raises Damaged when the file cannot be read."""
    try:
        found = parse(home.measured.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (WrongUsage, ValueError) as error:
        why = error.sentence if isinstance(error, WrongUsage) else "It is no text."
        hint = "mend that line by hand, or delete the file and measure again: commonhold measure"
        raise Damaged(f"{home.measured} is damaged: {why}", hint) from error
    return {name: value for name, value in found if value.origin is not Provenance.ASSUMED}


def keep(home: Home, values: Mapping[str, Value], notes: Sequence[str]) -> dict[str, Value]:
    """Add to what was measured before, value by value; it is on the disk when this returns. All that is kept now."""
    from commonhold.plan.values.measured import merged, written  # noqa: PLC0415 - as above

    everything = merged(measured(home), values)
    write_private(home.measured, written(everything, notes).encode())
    return everything


def today() -> date:
    return datetime.now(UTC).date()


def _counted(number: int) -> Value:
    return Value(float(number), Provenance.MEASURED, "the members of this network", number, number, today())
