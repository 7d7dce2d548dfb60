"""`commonhold audit`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import Output, counted
from commonhold.cli.words import Past
from commonhold.errors import Damaged, Unreachable, WrongUsage

if TYPE_CHECKING:
    from pathlib import Path

    from commonhold.authority.lines import Verdict
    from commonhold.authority.witness import Sighting

HEADS = ("TIME", "EVENT", "WHO", "WHAT")
WIDTHS = (19, 15, 16)  # of the columns of a record that is followed, whose longest line is yet to come
LOOK_AGAIN = 0.5  # seconds
NOT_WHAT = frozenset({"n", "time", "prev", "event", "person", "computer", "by", "fingerprint"})


class Wanted(NamedTuple):
    """Which lines."""

    person: str | None
    computer: str | None
    door: str | None
    event: str | None
    since: datetime | None
    until: datetime | None

    def takes(self, entry: dict[str, Any]) -> bool:
        from commonhold.authority.events import ABOUT  # noqa: PLC0415 - late: --help needs no msgspec

        when = _when(entry)
        if (self.since or self.until) and when is None:
            return False
        if when and ((self.since and when < self.since) or (self.until and when > self.until)):
            return False
        if self.event and str(entry.get("event", "")).casefold() != self.event.casefold():
            return False
        named = {"person": self.person, "computer": self.computer, "door": self.door}
        return all(_names(entry, ABOUT[what], name) for what, name in named.items() if name)


@declare(
    "audit",
    "commonhold audit",
    "commonhold audit --person ann --since 2h",
    "commonhold audit --computer laptop --door photos --since 2026-11-01 --until 2026-11-08",
    "commonhold --json audit --event 'wrong code'",
    "commonhold audit -f",
    "commonhold audit verify",
)
@click.argument("verify", type=click.Choice(["verify"]), required=False, metavar="[verify]")
@click.option("--person", metavar="PERSON", help="Lines about this person, or of what it did.")
@click.option("--computer", metavar="COMPUTER", help="Lines about this computer.")
@click.option("--door", metavar="DOOR", help="Lines about this share, or compute.")
@click.option("--event", metavar="EVENT", help="Lines of this kind: “join”, “deleted”, “door refused” …")
@click.option("--since", type=Past(), help="From then on: 30m, 2h or 3d ago, or a date.")
@click.option("--until", type=Past(), help="Up to then.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is recorded from now on, until Ctrl-C.")
def command(invocation: Invocation, /, verify: str | None, follow: bool, **filters: Any) -> None:
    """The node may be down: the record is read where it lies, in this computer's home. With `verify` its chain of
    hashes is checked, and compared with what others have seen of it; the first line that is not what it was is named.
    """
    home = invocation.home
    home.settings()  # NotFound where nothing can have been recorded yet
    if verify:
        if follow or any(filters.values()):
            raise WrongUsage("`audit verify` looks at every line.", "commonhold audit verify")
        return _verify(invocation)
    wanted = Wanted(**filters)
    if follow:
        return _follow(invocation.out, home.audit, wanted)
    from commonhold.authority.lines import entries  # noqa: PLC0415

    found = [entry for entry in entries(home.audit) if wanted.takes(entry)]
    return invocation.out.table(found, HEADS, [_row(entry) for entry in found], "The record has no such line.")


def _follow(out: Output, path: Path, wanted: Wanted) -> None:
    if out.json:
        raise WrongUsage("--follow prints lines as they come, and no document.", "leave out --json, or -f")
    for entry in _coming(path):
        if wanted.takes(entry):
            out.answer(None, "  ".join((*map(str.ljust, _row(entry), WIDTHS), _row(entry)[-1])))


def _coming(path: Path) -> Iterator[dict[str, Any]]:
    """Every line, and then what is written, also into the next part."""
    from commonhold.authority.lines import finished, parts, read  # noqa: PLC0415

    told, known = 0, -1
    while True:
        size = path.stat().st_size if path.exists() else 0
        if size != known:
            known = size
            for each in parts(path)[-2:] if told else parts(path):
                for entry in filter(None, map(read, finished(each))):
                    if isinstance(number := entry.get("n"), int) and number > told:
                        told = number
                        yield entry
        time.sleep(LOOK_AGAIN)


def _verify(invocation: Invocation) -> None:
    from commonhold.authority.lines import verify  # noqa: PLC0415
    from commonhold.authority.witness import by_line  # noqa: PLC0415

    verdict = verify(invocation.home.audit, by_line(_seen(invocation)))
    if verdict.broken is not None:
        breach = verdict.broken
        raise Damaged(
            f"Line {breach.n} of the record is not what it was: {breach.why} ({breach.file}, line {breach.line}).",
            _holding(verdict),
            verdict=verdict,
        )
    invocation.out.answer(verdict, _holding(verdict))


def _seen(invocation: Invocation) -> list[Sighting]:
    """What guards signed and this computer keeps; with the node up, also what they have kept themselves."""
    from contextlib import closing  # noqa: PLC0415

    from commonhold.authority.facts import FactStore  # noqa: PLC0415
    from commonhold.authority.witness import kept  # noqa: PLC0415
    from commonhold.identity.keys import Key  # noqa: PLC0415
    from commonhold.node.state import open_state  # noqa: PLC0415

    home, out = invocation.home, invocation.out
    if not home.state.exists():
        return []
    with closing(open_state(home.state)) as state:
        roster = FactStore(state, home.settings().network).roster
        seen, unproven = kept(home.heads, roster, Key.load(home.key).fingerprint)
    if unproven:
        out.remark(f"{counted(unproven, 'line')} of {home.heads} bear nobody's signature, and count for nothing.")
    try:
        with invocation.network() as network:
            seen += network.sightings()
    except Unreachable as error:
        out.remark(f"Compared with the heads that are kept here only. {error.sentence}")
    return seen


def _holding(verdict: Verdict) -> str:
    if not verdict.lines:
        return "no line holds" if verdict.broken else "Nothing was recorded yet."
    span = " to ".join(_local(each) for each in (verdict.first, verdict.last) if each)
    seen = f"; guards have seen {verdict.witnessed} of them" if verdict.witnessed else ""
    return f"{counted(verdict.lines, 'line')} hold, from {span}{seen}."


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    who = "@".join(str(entry[word]) for word in ("person", "computer") if entry.get(word))
    by = f"by {entry['by']}" if entry.get("by") else ""
    what = " ".join(f"{word}={_text(value)}" for word, value in entry.items() if word not in NOT_WHAT)
    return _local(_when(entry)), str(entry.get("event", "?")), " ".join(filter(None, (who, by))) or "-", what


def _text(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
    return f"“{text}”" if " " in text else text


def _local(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else "-"


def _when(entry: dict[str, Any]) -> datetime | None:
    try:
        return datetime.fromisoformat(str(entry.get("time")))
    except ValueError:
        return None


def _names(entry: dict[str, Any], words: tuple[str, ...], name: str) -> bool:
    """Whether one of these words of the line is that name; capitals do not matter."""
    said = (entry[word] for word in words if entry.get(word) is not None)
    every = (each for value in said for each in (value if isinstance(value, list) else [value]))
    return any(str(each).casefold() == name.casefold() for each in every)
