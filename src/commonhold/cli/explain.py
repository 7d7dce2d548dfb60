"""`commonhold explain`."""

from __future__ import annotations

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.rulings import question


@declare(
    "explain",
    "commonhold explain ann read photos",
    "commonhold explain ann write tower:papers/2026",
    "commonhold explain members run compute",
)
@question("DOOR[/PATH]")
def command(invocation: Invocation, who: str, verb: str, door: str) -> None:
    """Answers what the door would answer now; asking changes nothing."""
    with invocation.network() as network:
        answer = network.explain(who, verb, door)
    lines = [f"{'Allowed' if answer.allowed else 'Refused'}: {answer.reason}."]
    if answer.rule:
        lines.append(f"rule: {answer.rule}")
    if answer.hint:
        lines.append(f"hint: {answer.hint}")
    invocation.out.answer(answer, *lines)
