"""How one command is declared: its purpose from the table, its options, and examples that a test parses."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import click

from commonhold.cli.invocation import Invocation
from commonhold.cli.table import PURPOSES

P = ParamSpec("P")


class Command(click.Command):
    """A click command whose help ends with examples, printed as they stand."""

    def __init__(self, *arguments: Any, examples: tuple[str, ...] = (), **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(formatter, self.examples)


def write_examples(formatter: click.HelpFormatter, examples: tuple[str, ...]) -> None:
    with formatter.section("Examples"):
        for line in examples:
            formatter.write(f"  {line}\n")


def command(
    name: str, *examples: str, **settings: Any
) -> Callable[[Callable[Concatenate[Invocation, P], None]], Command]:
    """Declare the command `name`. The function gets the invocation first; its docstring is the help below it."""

    def declare(function: Callable[Concatenate[Invocation, P], None]) -> Command:
        @functools.wraps(function)
        def call(*arguments: P.args, **options: P.kwargs) -> None:
            function(Invocation.of(click.get_current_context()), *arguments, **options)

        text = f"{PURPOSES[name]}\n\n{inspect.cleandoc(function.__doc__ or '')}".strip()
        return click.command(name, cls=Command, help=text, examples=examples, context_settings=settings)(call)

    return declare
