"""Names and paths from outside, parsed once: whoever holds one of these types holds a harmless one.

Making one *is* the check (`ComputerName("tower")` raises for a hostile form), so no caller can
forget it. The rule that refuses is named in the sentence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

from commonhold.errors import WrongUsage

LONGEST_NAME = 63  # octets of a DNS label (RFC 1035): names travel in mDNS too
LONGEST_COMPONENT = 255  # bytes of a name on every common file system (POSIX NAME_MAX)
LONGEST_PATH = 4096  # bytes (Linux PATH_MAX)
HIDDEN = ".commonhold"  # our own folder in a share, reachable by no door

# What Windows cannot hold, whatever the extension (MS-DOS devices).
RENAME = "give it another name, or leave it out with --ignore"
DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}
)


def _is_control(character: str) -> bool:
    """Control, format (invisible, bidirectional), surrogate, line and paragraph separator characters."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def visible(text: str) -> str:
    """The same with a mark in the place of each such character."""
    return "".join("�" if _is_control(c) else c for c in text)


class Name(str):
    """A label that people see and type; decisions never rest on it. Kept in NFC."""

    what: ClassVar[str] = "name"
    reserved: ClassVar[frozenset[str]] = frozenset()

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        text = unicodedata.normalize("NFC", text)
        if trouble := cls._trouble(text):
            shown = visible(text[:LONGEST_NAME])
            raise WrongUsage(f"“{shown}” cannot be the name of a {cls.what}: {trouble}.", "choose another name")
        return super().__new__(cls, text)

    @classmethod
    def _trouble(cls, text: str) -> str:
        """The rule that `text` breaks, or nothing."""
        rules = (
            (not text, "it is empty"),
            (len(text.encode(errors="replace")) > LONGEST_NAME, f"it is longer than {LONGEST_NAME} bytes"),
            (any(_is_control(c) for c in text), "it has control or invisible characters"),
            (any(c in '/\\:<>"|?*@' for c in text), 'it has one of / \\ : < > " | ? * @'),
            (text != text.strip(" ") or text.endswith("."), "it begins or ends with a space, or ends with a dot"),
            (text.startswith((".", "-")), "it begins with a dot or a dash"),
            (text.casefold().partition(".")[0] in DEVICES, "Windows reserves it for a device"),
            (text.casefold() in cls.reserved, "the word has a meaning of its own here"),
        )
        return next((sentence for broken, sentence in rules if broken), "")


class NetworkName(Name):
    what = "network"
    __slots__ = ()


class ComputerName(Name):
    what = "computer"
    reserved = frozenset({"any", "all"})  # words of `run --on`
    __slots__ = ()


class PersonName(Name):
    what = "person"
    reserved = frozenset({"members", "guests", "admins", "owner"})  # words of rules
    __slots__ = ()


class GroupName(Name):
    what = "group"
    reserved = frozenset({"members", "guests", "owner"})  # words of rules; `admins` is a group that one fills
    __slots__ = ()


class ShareName(Name):
    what = "share"
    reserved = frozenset({"compute", "every share"})  # doors with names of their own
    __slots__ = ()


class Fingerprint(str):
    """Who a computer is: the SHA-256 of its public key (SPKI), 64 hexadecimal digits."""

    __slots__ = ()
    _form: ClassVar[re.Pattern[str]] = re.compile(r"[0-9a-f]{64}")

    def __new__(cls, text: str) -> Self:
        if not cls._form.fullmatch(text):
            raise WrongUsage("That is no computer's fingerprint: it needs 64 hexadecimal digits.")
        return super().__new__(cls, text)


class PersonId(str):
    """Who a person is: 32 hexadecimal digits, drawn when the person was first admitted."""

    __slots__ = ()
    _form: ClassVar[re.Pattern[str]] = re.compile(r"[0-9a-f]{32}")

    def __new__(cls, text: str) -> Self:
        if not cls._form.fullmatch(text):
            raise WrongUsage("That is no person's id: it needs 32 hexadecimal digits.")
        return super().__new__(cls, text)


@dataclass(frozen=True, slots=True)
class SharePath:
    """Where something lies inside a share: components, none of which can lead out of it.

    >>> SharePath.parse("photos/été/a.jpg").parts
    ('photos', 'été', 'a.jpg')
    """

    parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part in self.parts:
            if trouble := _component_trouble(part):
                shown = visible(part[:LONGEST_NAME])
                raise WrongUsage(
                    f"“{shown}” cannot stand in a path: {trouble}.", "give it another name; `ls` shows them"
                )
        # At any depth: a share may lie inside another, and its versions and temporary files with it.
        if any(part.casefold() == HIDDEN for part in self.parts):
            raise WrongUsage(f"“{HIDDEN}” belongs to Commonhold itself and is reachable by no door.")
        if len(str(self).encode(errors="replace")) > LONGEST_PATH:
            raise WrongUsage(f"The path is longer than {LONGEST_PATH} bytes.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """From text with slashes, percent-decoded already; one slash at either end is no component.

        Raises WrongUsage for anything that another program might read differently: empty
        components, `.`, `..`, backslashes, control characters, and our own hidden folder.
        """
        text = text.removeprefix("/").removesuffix("/")
        if len(text) <= LONGEST_COMPONENT and text.isascii() and text.isprintable() and _PLAIN_PATH.fullmatch(text):
            plain = object.__new__(cls)  # as nearly all are: each request has some, or thousands
            object.__setattr__(plain, "parts", tuple(text.split("/")))
            return plain
        return cls(tuple(text.split("/"))) if text else cls()

    def __str__(self) -> str:
        return "/".join(self.parts)

    @property
    def name(self) -> str:
        return self.parts[-1] if self.parts else ""

    @property
    def parent(self) -> SharePath:
        return SharePath(self.parts[:-1])

    def above(self) -> Iterator[SharePath]:
        """The folders on the way to it, the nearest first, without the share itself.

        What stands above a path is one: no part is looked at again, since of a deep path that takes minutes.
        """
        for length in range(len(self.parts) - 1, 0, -1):
            folder = object.__new__(SharePath)
            object.__setattr__(folder, "parts", self.parts[:length])
            yield folder

    def __truediv__(self, name: str) -> SharePath:
        return SharePath((*self.parts, name))

    def within(self, folder: SharePath) -> bool:
        """Whether this is `folder` or lies below it."""
        return self.parts[: len(folder.parts)] == folder.parts

    def require_portable(self) -> None:
        """Raise WrongUsage when some platform could not hold a new file of this name."""
        for part in self.parts:
            if any(c in '<>:"|?*' for c in part):
                raise WrongUsage(f'“{part}” cannot be made: Windows holds no name with one of < > : " | ? *.', RENAME)
            if part.endswith((" ", ".")):
                raise WrongUsage(
                    f"“{part}” cannot be made: Windows holds no name that ends with a space or a dot.", RENAME
                )
            if part.casefold().partition(".")[0] in DEVICES:
                raise WrongUsage(f"“{part}” cannot be made: Windows reserves it for a device.", RENAME)


_PLAIN = re.compile(r"(?!\.)[^/\\]+")  # of printable characters
_PLAIN_PATH = re.compile(rf"{_PLAIN.pattern}(?:/{_PLAIN.pattern})*")  # of several such


def folded(name: str) -> str:
    """As names are compared: neither capitals nor the form of Unicode matter."""
    return unicodedata.normalize("NFC", name).casefold()


def harmless(name: str) -> bool:
    """Whether it may stand in a path, at a glance; of a few that may, too, it takes a closer look to say so."""
    return name.isprintable() and _PLAIN.fullmatch(name) is not None and len(name.encode()) <= LONGEST_COMPONENT


def _component_trouble(part: str) -> str:
    if harmless(part):
        return ""  # as nearly all are: each request has some
    rules = (
        (not part, "it is empty"),
        (part in {".", ".."}, "it would lead elsewhere"),
        ("/" in part or "\\" in part, "it has a slash or a backslash"),
        (any(unicodedata.category(c) == "Cs" for c in part), "it is no UTF-8"),
        (any(unicodedata.category(c) == "Cc" for c in part), "it has control characters"),
        (len(part.encode(errors="replace")) > LONGEST_COMPONENT, f"it is longer than {LONGEST_COMPONENT} bytes"),
    )
    return next((sentence for broken, sentence in rules if broken), "")


def spelled(path: str) -> str:
    """A path as a key: one for a name whose accents are all composed or all decomposed, which is one file on a disk.

    Any other mixture is a file of its own, and is found on the disk by that very spelling only.
    """
    return path if path.isascii() else "/".join(map(_composed, path.split("/")))


def _composed(name: str) -> str:
    composed = unicodedata.normalize("NFC", name)
    return composed if unicodedata.normalize("NFD", name) == name else name


JOB_SHARE = re.compile(r"\.job-[0-9]{1,9}")  # the folder of one job, opened by its person and its passes only


@dataclass(frozen=True, slots=True)
class RemotePath:
    """`COMPUTER:SHARE/PATH`, as with scp; `COMPUTER:` alone is the list of its shares."""

    computer: ComputerName
    share: str  # a ShareName, the folder of a job, or nothing
    path: SharePath

    @classmethod
    def parse(cls, text: str) -> Self:
        computer, colon, rest = text.partition(":")
        if not colon:
            meant = "" if "/" in text or not text else f"; the shares of a computer called {text} are {text}:"
            raise WrongUsage(f"“{text}” names no computer.", f"write COMPUTER:SHARE/PATH, as with scp{meant}")
        share, _, path = rest.removeprefix("/").partition("/")
        checked = share if not share or JOB_SHARE.fullmatch(share) else ShareName(share)
        return cls(ComputerName(computer), checked, SharePath.parse(path))

    def __str__(self) -> str:
        return f"{self.computer}:{self.share}" + (f"/{self.path}" if self.path.parts else "")

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(self.computer, self.share, self.path / name)


HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")  # a name or IPv4, or IPv6


class Address(NamedTuple):
    """A host (name, IPv4 or IPv6) and a TCP port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `HOST:PORT` or `[IPV6]:PORT`. Raises WrongUsage.

        Addresses also arrive from other computers, so that whatever could mean something else in a
        URL or on a terminal is refused here.
        """
        host, _, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            host = ""
        if not HOST.fullmatch(host) or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
            raise WrongUsage("That is no address of a computer.", "write HOST:PORT, for example 192.168.1.5:7440")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
