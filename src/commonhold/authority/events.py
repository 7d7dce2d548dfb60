"""The events that the record knows, and the words that each line of one carries. *Pure.*

One vocabulary, so that filters work: `person` and `computer` are whom the line is about, by the names
of that moment; `by` is who did it to them; `door` is a share's name, `compute` or the network's;
`address` is where a connection came from. A word with `?` may be missing. docs/audit.md shows this
table (a test holds it), and a test holds every call of `record` against it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

OWN = frozenset({"n", "time", "prev", "event"})
SECRET = frozenset({"code", "password", "secret", "token", "recovery", "key", "pass_id"})

# What an option of `commonhold audit` looks at.
ABOUT: dict[str, tuple[str, ...]] = {
    "person": ("person", "by", "who"),
    "computer": ("computer", "computers", "by", "who", "inviter"),
    "door": ("door",),
}


class Event(NamedTuple):
    words: str
    meaning: str


EVENTS: dict[str, Event] = {
    # the network
    "founding": Event("network shape person computer", "this network was founded here"),
    "joined": Event("network inviter", "this computer joined"),
    "invitation": Event("number minutes uses person?", "a code was given out; its words are never recorded"),
    "invitation withdrawn": Event("number", "an invitation was ended before its time, by its inviter or with a no"),
    "wrong code": Event("number address tries", "somebody tried a wrong code; so many tries are left"),
    "join": Event("computer person fingerprint address", "a newcomer knew the code, and this guard signed it in"),
    "join refused": Event("computer person fingerprint address?", "a newcomer knew the code, and was turned away"),
    "admit": Event("computer person fingerprint", "this computer heard that somebody belongs"),
    "removal": Event("by? who computers", "somebody was removed from here"),
    "gone": Event("computer person fingerprint", "this computer heard that somebody was removed"),
    "charter": Event("number shape guards", "a new charter is in force"),
    "charter signed": Event("by wish number", "this guard signed a wish for a new charter: it counts when enough have"),
    "recovery": Event("by number guards", "the recovery key put the network right, from here"),
    "shape change": Event("shape before server?", "the new charter changed the shape"),
    "alarm": Event("reason", "two charters of one number, or something else that needs a person"),
    # rules, groups, accounts
    "rule": Event("by effect who verb door until?", "who may, or may not, was said; or a rule was struck"),
    "group": Event("by? change group who", "a group changed"),
    "quota": Event(
        "by who bytes files cores memory jobs tasks", "how much somebody may have here was said; null is no limit"
    ),
    "share": Event("door folder", "a folder was offered"),
    "unshare": Event("door", "a folder is offered no more"),
    "account": Event("by person until?", "an account was made"),
    "account ended": Event("by? person", "an account ended"),
    "password set": Event("by person", "an account has a new password"),
    "wrong password": Event("person address", "somebody tried a wrong password"),
    "signed in": Event("person address", "first of a quarter of an hour: who signed in, from where"),
    "signed out": Event("person", "first of a quarter of an hour: who signed out"),
    # doors
    "door opened": Event("person computer verb door", "first of a quarter of an hour: who did what at which door"),
    "door refused": Event("person computer verb door reason", "first of a quarter of an hour: who was refused"),
    "pauses": Event(
        "people pauses seconds", "how long people paused between requests in a quarter of an hour, on average: no names"
    ),
    "cut": Event("person computer what reason", "a request, a session or a stay here was cut off: its right ended"),
    "overwritten": Event("person computer door path size", "a file was replaced"),
    "restored": Event("person computer door path version", "what had been overwritten or deleted has its name again"),
    "undone": Event("person computer door path what who", "something that `who` had done to a file was taken back"),
    "history policy": Event("person computer door days bytes", "how long and how much a share keeps was said"),
    "history erased": Event("person computer door path versions", "what was kept there was erased for good"),
    "moved": Event("person computer door path to kind", "a file or folder got another place: `to`, SHARE/PATH"),
    "deleted": Event("person computer door path kind size", "a file or folder was deleted"),
    "disk error": Event("person computer door path reason", "a disk here failed at what was asked of it"),
    "lock broken": Event("person computer door path of", "the owner of the share ended somebody's lock"),
    # processors
    "job started": Event("person job tasks on", "a job runs from here; its command is not recorded"),
    "job ended": Event("person job state", "it ended"),
    "job forgotten": Event(
        "person job files bytes", "its person let go what was kept of a job; so much lay in its folder"
    ),
    "lending": Event("by when cores memory disk hours", "on which terms this computer lends was said"),
    "lent": Event("person computer session sandbox", "this computer lends to somebody's session"),
    # the record itself
    "clock jump": Event("seconds", "the clock was set: forward by more than a minute, or back"),
    "record rewritten": Event(
        "computer reason", "a computer's record is not what it was when its head was signed here"
    ),
    "record mended": Event("bytes kept", "a power cut tore the last line, which was put aside"),
    "lines lost": Event("lines", "so many lines found no room on the disk"),
}


def check(event: str, words: Collection[str]) -> None:
    """Raise TypeError for an event or a word that the table does not know, and for one that is missing."""
    if event not in EVENTS:
        raise TypeError(f"the record knows no event “{event}”: see authority/events.py")
    required, allowed = _words(event)
    if wrong := sorted(set(words) - allowed):
        raise TypeError(f"“{event}” takes no {', '.join(wrong)}")
    if missing := sorted(required - set(words)):
        raise TypeError(f"“{event}” needs {', '.join(missing)}")


def _words(event: str) -> tuple[frozenset[str], frozenset[str]]:
    """-> (needed, allowed)."""
    words = EVENTS[event].words.split()
    return frozenset(w for w in words if not w.endswith("?")), frozenset(w.rstrip("?") for w in words)
