"""`commonhold put`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from commonhold.cli.command import command as declare
from commonhold.cli.copying import copy, copying, how
from commonhold.cli.invocation import Invocation
from commonhold.errors import NotFound, WrongUsage


@declare(
    "put",
    "commonhold put cat.jpg tower:photos",
    "commonhold put a.pdf b.pdf tower:papers",
    "commonhold put -r ~/pictures/2026 tower:photos",
    "commonhold put -r --delete --dry-run ~/pictures/ tower:backup/pictures",
)
@click.argument("local", nargs=-1, required=True, metavar="LOCAL...")
@click.argument("remote")
@copying
def command(invocation: Invocation, /, local: tuple[str, ...], remote: str, **options: Any) -> None:
    """Done means that the files are on the other computer's disk. Somebody who reads there sees the old file or the new
    one, never a mixture. What is the same already is not copied. What came from there by `get` and was changed there
    since is not replaced: yours is put beside it, and said. With several LOCAL, REMOTE is a folder, made when it is not
    there. Of a folder that ends with a slash, its content goes to REMOTE.
    """
    for name in local:
        _require_copyable(Path(name).expanduser(), options["recursive"])
    with invocation.network() as network:
        copy(
            invocation.out,
            "put",
            lambda progress: network.put(list(local), remote, progress=progress, **how(options)),
            tried=options["dry_run"],
        )


def _require_copyable(source: Path, recursive: bool) -> None:
    """Raise NotFound or WrongUsage before anything is copied."""
    if not source.exists():
        raise NotFound(f"There is no “{source}” here.", "ls shows what is there")
    if source.is_dir() and not recursive:
        raise WrongUsage(f"{source} is a folder.", "put -r copies a folder with everything in it")
