"""`commonhold put`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import copied, counted
from commonhold.cli.progress import files_progress
from commonhold.errors import CommonholdError, NotFound, PartlyFailed, WrongUsage
from commonhold.names import RemotePath

if TYPE_CHECKING:
    from commonhold.api import Network


@declare(
    "put",
    "commonhold put cat.jpg tower:photos",
    "commonhold put a.pdf b.pdf tower:papers",
    "commonhold put -r ~/pictures/2026 tower:photos",
)
@click.argument("local", nargs=-1, required=True, metavar="LOCAL...")
@click.argument("remote")
@click.option("-r", "--recursive", is_flag=True, help="Folders with everything in them.")
def command(invocation: Invocation, local: tuple[str, ...], remote: str, recursive: bool) -> None:
    """Done means that the files are on the other computer's disk. Somebody who reads there sees the old file or the new
    one, never a mixture. With several LOCAL, REMOTE is a folder, made when it is not there.
    """
    sources = [Path(name).expanduser() for name in local]
    for source in sources:
        _require_copyable(source, recursive)
    with invocation.network() as network:
        if len(sources) == 1:
            with files_progress(invocation.out, sources[0].name) as progress:
                report = network.put(sources[0], remote, recursive=recursive, progress=progress)
            files, octets = report.files, report.bytes
        else:
            files, octets = _put_each(invocation, network, sources, remote, recursive)
    invocation.out.answer({"files": files, "bytes": octets}, copied(files, octets))


def _put_each(
    invocation: Invocation, network: Network, sources: list[Path], remote: str, recursive: bool
) -> tuple[int, int]:
    """Copy every source into the folder `remote`; returns files and bytes. What fails does not hold up the others.

    The folder is made when it is not there: to a name that is none, each file would replace the one before.
    """
    if RemotePath.parse(remote).path.parts:
        network.mkdir(remote, parents=True)
    files = octets = 0
    failed: list[dict[str, str]] = []
    errors: list[CommonholdError] = []
    for source in sources:
        try:
            with files_progress(invocation.out, source.name) as progress:
                report = network.put(source, remote, recursive=recursive, progress=progress)
            files, octets = files + report.files, octets + report.bytes
        except PartlyFailed as error:
            files, octets = files + error.more["files"], octets + error.more["bytes"]
            failed += error.more["failed"]
        except CommonholdError as error:
            failed.append({"path": str(source), "error": error.sentence})
            errors.append(error)
    if len(errors) == len(sources) and len({type(error) for error in errors}) == 1:
        raise errors[0]
    if failed:
        sentence = f"{len(failed)} of {counted(files + len(failed), 'file')} failed."
        hint = "the same command takes up what is missing"
        raise PartlyFailed(sentence, hint, failed=failed, files=files, bytes=octets)
    return files, octets


def _require_copyable(source: Path, recursive: bool) -> None:
    """Raise NotFound or WrongUsage before anything is copied."""
    if not source.exists():
        raise NotFound(f"There is no {source} here.", "ls shows what is there")
    if source.is_dir() and not recursive:
        raise WrongUsage(f"{source} is a folder.", "put -r copies a folder with everything in it")
