"""What `allow`, `deny`, `rules` and `explain` have in common: who, verb and door as arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

F = TypeVar("F", bound=Callable[..., None])
SHARE_VERBS = ("list", "read", "add", "write")
VERBS = (*SHARE_VERBS, "run")


def question(door: str = "DOOR") -> Callable[[F], F]:
    """The arguments WHO VERB DOOR."""

    def declare(function: F) -> F:
        for argument in (
            click.argument("door", metavar=door),
            click.argument("verb", type=click.Choice(VERBS), metavar="VERB"),
            click.argument("who"),
        ):
            function = argument(function)
        return function

    return declare
