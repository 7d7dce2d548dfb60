"""`commonhold demo`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation

if TYPE_CHECKING:
    from commonhold.demo.steps import Step

HEADS = ("shape", "what", "verified", "seconds")


@declare("demo", "commonhold demo", "commonhold --json demo")
def command(invocation: Invocation) -> None:
    """Three nodes as real processes, in a temporary folder that is removed at the end; your own network is not touched.

    Peer-to-peer, then a trusting network, then client-server: joining by code, rules, real files and a real job on all
    processors. Says what it does and what it verified; exit code 1 and the sentence that says what failed, otherwise.
    """
    from commonhold.demo import story  # noqa: PLC0415 - late: it loads the node's libraries

    steps = story.play(invocation.out.remark)
    invocation.out.table(steps, HEADS, rows(steps), "")
    invocation.out.remark("All of it was verified; nothing is left running, and nothing on the disk.")


def rows(steps: Sequence[Step]) -> list[tuple[str, str, str, str]]:
    """The table at the end, one line for each step, seconds with one decimal."""
    return [(step.shape, step.what, step.verified, f"{step.seconds:.1f}") for step in steps]
