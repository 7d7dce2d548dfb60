"""What can be wrong with a computer and its network, and the cure: one list, which `status` and `doctor` read. Pure.

Each condition is a function of plain facts. Its severity: an *alarm* says that somebody may be acting against
this network, or that this computer is shut out; a *warning*, that something does not work; a *note*, what could be
better.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import timedelta

import msgspec

from commonhold.answers import GuardWish, Trouble
from commonhold.compute.hindrance import Hindrance, explained

LITTLE = 512 * 2**20  # bytes free under the home
BEHIND = timedelta(minutes=5)
LONG = timedelta(days=1)  # without a word from any other computer


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at. Facts that only a running node knows have a default that troubles nobody."""

    home: str
    computer: str = ""
    running: bool = True
    damage: str = ""  # why the home's files cannot be read
    not_free: str = ""  # of a node that is down: why it could not listen
    network: str = ""
    member: bool = True
    disputed: str = ""
    client_server: bool = False
    members: int = 1
    guards: tuple[str, ...] = ()
    proposals: tuple[GuardWish, ...] = ()
    door: bool = False  # others are to come in here
    listening: tuple[str, ...] = ()
    alone: timedelta = timedelta(0)  # since any other computer answered
    missing: tuple[tuple[str, str], ...] = ()  # shares and folders
    closed: tuple[tuple[str, str], ...] = ()  # those that this node may not open
    links: tuple[tuple[str, str], ...] = ()  # some symbolic links: shares, and where in them
    lends: bool = False
    sandbox: str = ""
    upgraded: str = ""  # the code was replaced under the node that runs
    precedence: str = ""  # how guests give way to the owner
    hindrance: Hindrance = Hindrance()  # what keeps the better one from it
    record: str = ""
    broken: str = ""  # the first line of it that is not what it was
    witnessed: str = ""  # what guards know of other computers' records
    turned_away: str = ""  # what members say who do not talk to this computer any more
    certificate: str = ""  # what ails the one that a server shows to people's programs
    free: int = LITTLE  # bytes
    behind: timedelta = timedelta(0)  # how much later it was already, by this computer's own clock
    exposed: tuple[str, ...] = ()  # files that other users of this machine may read


def troubles(findings: Findings) -> list[Trouble]:
    """What is wrong, the gravest first."""
    order = ("alarm", "warning", "note")
    found = [trouble for condition in CONDITIONS if (trouble := condition(findings)) is not None]
    return sorted(found, key=lambda each: order.index(each.severity))


def alarms(findings: Findings) -> str:
    """The alarms, as `status` shows them; nothing when there are none."""
    return " ".join(each.text for each in troubles(findings) if each.severity == "alarm")


def _two_charters(see: Findings) -> Trouble | None:
    if not see.disputed:
        return None
    cure = "commonhold recover, typed on the computer that is to guard; with --remove COMPUTER for one that was stolen"
    text = f"{see.disputed} The older charter stays in force."
    return Trouble("two-charters", "alarm", "Two charters have one number", text, cure)


def _removed(see: Findings) -> Trouble | None:
    if see.member:
        return None
    text = "This computer was removed from the network."
    cure = f"to join again as a new computer: move {see.home} away, then commonhold join CODE"
    return Trouble("removed", "alarm", "Removed", text, cure)


def _broken_record(see: Findings) -> Trouble | None:
    if not see.broken:
        return None
    cure = f"compare {see.record} with a copy; commonhold audit verify"
    return Trouble("broken-record", "alarm", "The record was changed", see.broken, cure)


def _rewritten(see: Findings) -> Trouble | None:
    if not see.witnessed:
        return None
    cure = "commonhold audit verify, typed there: it names the first false line"
    return Trouble("record-rewritten", "alarm", "Another computer's record was changed", see.witnessed, cure)


def _damaged(see: Findings) -> Trouble | None:
    if not see.damage:
        return None
    return Trouble("damaged", "warning", "The home cannot be read", see.damage, "put back a copy of that file")


def _down(see: Findings) -> Trouble | None:
    if see.running:
        return None
    text = f"The node of {see.computer or 'this computer'} is not running: others reach nothing here."
    return Trouble("node-down", "warning", "The node is down", text, "commonhold up")


def _not_free(see: Findings) -> Trouble | None:
    if not see.not_free:
        return None
    cure = f"end that program, or change “listen” in {see.home}/settings.json"
    return Trouble("address-not-free", "warning", "It cannot listen", see.not_free, cure)


def _no_door(see: Findings) -> Trouble | None:
    if not (see.running and see.door and not see.listening):
        return None
    text = f"{see.computer} listens nowhere: nobody can come in."
    return Trouble("no-door", "warning", "No door", text, "commonhold down; commonhold up")


def _proposal(see: Findings) -> Trouble | None:
    waiting = [wish for wish in see.proposals if wish.here]
    if not waiting:
        return None
    wishes = "; ".join(f"“{wish.wish}”, signed by {', '.join(wish.signed)}" for wish in waiting)
    text = f"{'A wish waits' if len(waiting) == 1 else 'Wishes wait'} for this guard's signature: {wishes}."
    commands = [wish.command for wish in waiting if wish.command]
    cure = f"if you agree: {' or '.join(commands)}" if commands else waiting[0].agree
    return Trouble("wish-waits", "warning", "A wish waits for you", text, cure)


def _turned_away(see: Findings) -> Trouble | None:
    """A warning: it is the word of somebody, and no fact that was signed."""
    if not see.turned_away or not see.member:
        return None
    cure = f"ask its owner; if it is so: move {see.home} away, then commonhold join CODE"
    return Trouble("turned-away", "warning", "Another computer refuses this one", see.turned_away, cure)


def _missing_share(see: Findings) -> Trouble | None:
    if not see.missing:
        return None
    text = "; ".join(f"the folder {folder} of the share {name} is missing" for name, folder in see.missing)
    cure = f"bring the disk back, or commonhold unshare {shlex.quote(see.missing[0][0])}"
    return Trouble("share-missing", "warning", "A shared folder is missing", f"{text[0].upper()}{text[1:]}.", cure)


def _closed_share(see: Findings) -> Trouble | None:
    if not see.closed:
        return None
    text = "; ".join(f"the folder {folder} of the share {name}" for name, folder in see.closed)
    cure = f"chmod u+rwx {shlex.quote(see.closed[0][1])}, by whom it belongs to"
    text = f"Commonhold may not open {text}: nobody gets anything there."
    return Trouble("share-closed", "warning", "A shared folder cannot be opened", text, cure)


def _full(see: Findings) -> Trouble | None:
    if see.free >= LITTLE:
        return None
    text = f"{see.free // 2**20} MB are free on the disk that holds {see.home}: what the network decides may be lost."
    return Trouble("disk-full", "warning", "The disk is nearly full", text, "free some space on it")


def _exposed(see: Findings) -> Trouble | None:
    if not see.exposed:
        return None
    text = f"Other users of this machine can read {', '.join(see.exposed)}."
    return Trouble("home-open", "warning", "The home is open to others", text, f"chmod -R go= {shlex.quote(see.home)}")


def _certificate(see: Findings) -> Trouble | None:
    if not see.certificate:
        return None
    cure = "renew it, or name another with commonhold up --certificate FILE --key FILE"
    return Trouble("certificate", "warning", "The server's certificate", see.certificate, cure)


def _clock(see: Findings) -> Trouble | None:
    if see.behind < BEHIND:
        return None
    minutes = see.behind // timedelta(minutes=1)
    text = f"The clock was set back by {minutes} minutes: whatever ends here ends by the later time."
    file = shlex.quote(f"{see.home}/clock")
    cure = f"set it; where it is right now, and was not before: commonhold down, delete {file}, commonhold up"
    return Trouble("clock-back", "warning", "The clock was set back", text, cure)


def _alone(see: Findings) -> Trouble | None:
    if see.alone < LONG or see.members < 2:
        return None
    days = see.alone // timedelta(days=1)
    text = f"No other computer of {see.network} has answered for {days} day{'s' if days > 1 else ''}."
    cure = "see whether one is up and on this network; commonhold members shows where they were"
    return Trouble("alone", "warning", "Nobody answers", text, cure)


def _one_guard(see: Findings) -> Trouble | None:
    if see.client_server or len(see.guards) != 1 or see.members < 3:
        return None
    text = f"{see.guards[0]} is the only guard: without it nobody is admitted or removed."
    cure = f"commonhold guard add COMPUTER, typed on {see.guards[0]}, for one that is usually on"
    return Trouble("one-guard", "note", "One guard", text, cure)


def _links(see: Findings) -> Trouble | None:
    if not see.links:
        return None
    where = ", ".join(f"{share}/{path}" for share, path in see.links)
    text = f"Nobody meets symbolic links through the network, since they may lead out of a share: {where}."
    cure = "share the folder that such a link leads to as one of its own: commonhold share FOLDER"
    return Trouble("links", "note", "Links in a share", text, cure)


def _weak_sandbox(see: Findings) -> Trouble | None:
    if not see.lends or see.sandbox in {"", "bubblewrap"}:
        return None
    why, cure = explained(see.hindrance)
    held = "Other people's tasks are held by limits of the system only: they can read what this account can read."
    return Trouble("weak-sandbox", "note", "A weak sandbox", f"{held} {why}", cure)


def _upgraded(see: Findings) -> Trouble | None:
    if not see.upgraded:
        return None
    text = f"{see.upgraded} Nothing is computed from here or on it until it starts anew."
    return Trouble("upgraded", "warning", "Upgraded while running", text, "commonhold down && commonhold up")


def _beside(see: Findings) -> Trouble | None:
    if not see.lends or see.precedence != "share":
        return None
    text = "Guests may take half of a core that you want: the system gives what this node starts a share of its own."
    cure = "commonhold down, then systemd-run --user --scope commonhold up; docs/lending.md says more"
    return Trouble("beside", "note", "Guests beside you", text, cure)


CONDITIONS: tuple[Callable[[Findings], Trouble | None], ...] = (
    _two_charters,
    _removed,
    _broken_record,
    _rewritten,
    _damaged,
    _down,
    _not_free,
    _no_door,
    _upgraded,
    _turned_away,
    _proposal,
    _missing_share,
    _closed_share,
    _full,
    _exposed,
    _certificate,
    _clock,
    _alone,
    _one_guard,
    _links,
    _weak_sandbox,
    _beside,
)
