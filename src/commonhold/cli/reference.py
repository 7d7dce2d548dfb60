"""docs/cli.md, made from the help of every command: `python -m commonhold.cli.reference > docs/cli.md`."""

from __future__ import annotations

import click

from commonhold.cli.main import commands
from commonhold.cli.table import GROUPS

WIDTH = 100
HEAD = """# Commands

Made by `python -m commonhold.cli.reference > docs/cli.md`; a test fails when it is stale.

Exit codes: 0 done · 1 failed · 2 wrong usage · 3 not found · 4 refused · 5 unreachable · 6 conflict · 7 no space ·
8 part of it failed · 130 interrupted. Errors go to standard error as one sentence, then `hint: …`.

With `--json` (before the command) exactly one JSON document is printed on standard output: the result, or
`{"error", "kind", "exit", "hint", …}`. Times are UTC, RFC 3339.
"""


def help_of(name: str | None = None) -> str:
    """The help of one command, or of the whole, as a terminal of WIDTH columns shows it."""
    settings = {"terminal_width": WIDTH, "max_content_width": WIDTH, "help_option_names": ["-h", "--help"]}
    root = click.Context(commands, info_name="commonhold", **settings)  # type: ignore[arg-type]
    if name is None:
        return commands.get_help(root)
    found = commands.get_command(root, name)
    if found is None:
        raise KeyError(name)
    return found.get_help(click.Context(found, info_name=name, parent=root, **settings))  # type: ignore[arg-type]


def reference() -> str:
    parts = [HEAD, _block(help_of())]
    for group, names in GROUPS.items():
        parts.append(f"## {group}\n")
        parts += [f"### {name}\n\n{_block(help_of(name))}" for name in names]
    return "\n".join(parts)


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


if __name__ == "__main__":
    click.echo(reference(), nl=False)
