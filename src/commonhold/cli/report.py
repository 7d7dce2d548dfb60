"""`commonhold report`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.scenarios import read_scenario, read_trial
from commonhold.errors import Conflict, NodeNotRunning, NotFound
from commonhold.home import write_whole
from commonhold.plan.pages.page import GENERATOR
from commonhold.plan.pages.report import report
from commonhold.plan.reach.exposure import Exposure
from commonhold.plan.values.scenario import Scenario

PAGE = "report.html"  # in a folder
LARGEST = 2**26  # bytes of a page
HEAD = 2_000  # bytes of a page in which it says whose it is


@declare(
    "report",
    "commonhold report --save home.html",
    "commonhold report office.toml --save reports/",
    "commonhold report --trial fileserver.json --trial compute.json --save reports/",
)
@click.argument("scenario", required=False)
@click.option("--trial", "trials", multiple=True, metavar="FILE", help="What compare has measured; may be given again.")
@click.option("--save", metavar="FOLDER|FILE.html", default=PAGE, show_default=True, help="Where it is written.")
def command(invocation: Invocation, /, scenario: str | None, trials: tuple[str, ...], save: str) -> None:
    """One HTML page that needs no network, with the table of every picture as a CSV file beside it. SCENARIO is a file
    of advise; without one, it is about what was compared, else about this network.

    Pictures need matplotlib: pip install 'commonhold[plan]'.
    """
    place = _place(save)
    _replaceable(place, [place.name])
    found = [read_trial(file) for file in trials]
    exposure = None
    if scenario:
        about = read_scenario(scenario)
    elif found:
        about = None
    else:
        about, exposure = _here(invocation)
    _make(place.parent)
    files = report(about, found, place.stem, exposure=exposure)
    _keep(place, files)
    pages = [str(place.with_name(name)) for name in files]
    invocation.out.answer({"page": pages[0], "tables": pages[1:]}, f"{pages[0]}, and {len(pages) - 1} tables beside it")


def _here(invocation: Invocation) -> tuple[Scenario, Exposure | None]:
    """This computer's network and who could read or destroy what there, if its node runs."""
    try:
        with invocation.network() as network:
            return network.scenario(), network.expose()
    except (NotFound, NodeNotRunning):
        return Scenario({}), None


def _place(save: str) -> Path:
    """The page: a name that ends so is one, everything else a folder."""
    place = Path(save).expanduser()
    named = place.suffix.lower() == ".html" and not place.is_dir()
    return place.with_suffix(".html") if named else place / PAGE


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotFound(f"{folder} cannot be made: {error.strerror}.") from None


def _replaceable(place: Path, names: Iterable[str]) -> None:
    """Only what an earlier report wrote, and names in its page. Raises Conflict for anything else that is there."""
    before = b""
    if place.is_file():  # and no pipe, which is read for ever
        with suppress(OSError), place.open("rb") as opened:
            before = opened.read(LARGEST)
    ours = f'content="{GENERATOR}"'.encode() in before[:HEAD]
    for name in names:
        mine = ours and (name == place.name or f'href="{quote(name)}"'.encode() in before)
        if (place.with_name(name).exists() or place.with_name(name).is_symlink()) and not mine:
            hint = "another name: --save FILE.html, or a folder of its own"
            raise Conflict(f"{place.with_name(name)} is there already, and no earlier report wrote it.", hint)


def _keep(place: Path, files: dict[str, bytes]) -> None:
    """Tables first, so that a page never names what is not there."""
    _replaceable(place, files)
    try:
        for name, data in reversed(files.items()):
            write_whole(place.with_name(name), data)
    except OSError as error:
        raise NotFound(f"{place} cannot be written: {error.strerror}.") from None
