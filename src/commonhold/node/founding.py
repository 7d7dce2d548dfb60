"""How a home begins: found a network, or join one. Both leave a home that a node can start from.

The settings are written last: a home without them has not joined, whatever else lies in it, and
the next try takes up its key. So a crash between the admission and the settings is mended by
joining again with the same key (see `joining`).
"""

from __future__ import annotations

import getpass
import platform
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast, get_args

from commonhold.authority import roster
from commonhold.authority.audit import Audit
from commonhold.authority.authority import COMPUTE, EVERY_SHARE, Door, Verb
from commonhold.authority.book import RuleBook
from commonhold.authority.charter import Shape
from commonhold.authority.facts import FactStore
from commonhold.authority.rules import MEMBERS
from commonhold.discovery import AddressBook
from commonhold.errors import Conflict, Refused, WrongUsage
from commonhold.home import Home, LendingTerms, Settings, WhenToLend, write_private
from commonhold.identity.certificate import Certificate, self_signed
from commonhold.identity.code import recovery_key, recovery_words
from commonhold.identity.envelope import Envelope
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, NetworkName, PersonId, PersonName
from commonhold.node.background import hold
from commonhold.node.desk import EVERY_SHARE_NAME
from commonhold.node.joining import Joining, Say, Way
from commonhold.node.state import disk_watched, open_state
from commonhold.transport import Address, run
from commonhold.transport.addresses import bind


@dataclass(frozen=True)
class Begun:
    """What a home has become part of. `recovery` (twelve words) only where a network was founded: shown once."""

    network: str
    network_id: str
    shape: str
    trusting: bool
    computer: str
    person: str
    role: str
    recovery: str = ""
    inviter: str = ""


def create(
    home: Home,
    network: str,
    shape: str = "peer-to-peer",
    trusting: bool = False,
    person: str | None = None,
    computer: str | None = None,
    listen: Sequence[str] = (),
) -> Begun:
    """Found a network on this computer. Raises Conflict when the home belongs to one, WrongUsage for bad names."""
    shape_named = _shape(shape)
    named = NetworkName(network)
    computer_name, person_name = ComputerName(computer or _machine()), PersonName(person or _user())
    addresses = _addresses(listen)
    with _empty(home):
        _require_free(addresses)
        key, certificate = _identity(home)
        entropy = secrets.token_bytes(16)
        founding = roster.found(
            key=key,
            certificate=certificate,
            network=named,
            shape=shape_named,
            trusting=trusting,
            computer=computer_name,
            person=person_name,
            person_id=PersonId(secrets.token_hex(16)),
            recovery=recovery_key(recovery_words(entropy)),
            now=datetime.now(UTC),
        )
        begun = _settle(home, key, [founding], founding.id)
        with closing(Audit(home.audit)) as audit:
            audit.record("founding", network=named, shape=shape, person=person_name, computer=computer_name)
        home.save_settings(Settings(network=founding.id, computer=begun.computer, listen=addresses))
    return replace(begun, recovery=recovery_words(entropy))


def join(
    home: Home,
    code: str | None = None,
    person: str | None = None,
    computer: str | None = None,
    listen: Sequence[str] = (),
    lend: str | None = None,
    *,
    file: Path | None = None,
    say: Say = lambda sentence: None,
) -> Begun:
    """Join by `CODE` or `CODE@HOST:PORT`, or by an invitation's file; with neither, finish what was begun here.

    `say` hears what this waits for. Raises WrongCode, Unreachable, NotFound (nobody with that code), Conflict, Refused.
    """
    way = Way.carried(file) if file is not None else Way.typed(code)
    computer_name = ComputerName(computer or _machine())
    person_name = PersonName(person or _user())
    addresses = _addresses(listen)
    when: WhenToLend = "always"
    if lend is not None:
        if lend not in get_args(WhenToLend):
            raise WrongUsage(f"“{lend}” is no time to lend.", "always, idle or never")
        when = cast("WhenToLend", lend)
    with _empty(home):
        _require_free(addresses)
        key, certificate = _identity(home)
        joined, at = run(Joining(home, key, certificate, computer_name, person_name, say).through(way))
        begun = _settle(home, key, joined.envelopes, joined.network_id)
        with closing(open_state(home.state)) as state:
            book = AddressBook(state)
            for fingerprint, found in joined.addresses.items():
                book.remember(fingerprint, found)
            book.remember(joined.inviter, [at], datetime.now(UTC))
            inviter = FactStore(state, joined.network_id).roster.members[joined.inviter].name
        with closing(Audit(home.audit)) as audit:
            audit.record("joined", network=begun.network, inviter=inviter)
        terms = LendingTerms(when=when)
        home.save_settings(Settings(network=joined.network_id, computer=begun.computer, listen=addresses, lend=terms))
        home.joining.unlink(missing_ok=True)
    return replace(begun, inviter=inviter)


@contextmanager
def _empty(home: Home) -> Iterator[None]:
    """A home that has not joined, held so that nobody else begins there; what a failed beginning made is removed.

    The key stays: if the admission was signed and the answer was lost, the same key finishes it.
    """
    _require_new(home)  # before the lock too: a node that runs holds it, and "belongs to a network" says more
    with hold(home), disk_watched(home.folder):
        _require_new(home)
        _forget(home)
        try:
            yield
        except BaseException:
            _forget(home)
            raise


def _require_new(home: Home) -> None:
    if home.joined:
        home.joining.unlink(missing_ok=True)  # a power cut may have left it
        raise Conflict(
            f"This computer belongs to a network already, as {home.settings().computer}.",
            "another network needs another home: commonhold --home DIR …",
        )


def _forget(home: Home) -> None:
    for path in (home.state, home.audit, *home.folder.glob(f"{home.state.name}-*")):
        path.unlink(missing_ok=True)


def _identity(home: Home) -> tuple[Key, Certificate]:
    if home.key.exists():
        key = Key.load(home.key)
    else:
        key = Key.generate()
        key.save(home.key)
    try:  # the one of an earlier try: if that admitted this computer, it did so with this certificate and no other
        certificate = Certificate.parse(home.certificate.read_bytes())
        if certificate.spki == key.spki:
            return key, certificate
    except (FileNotFoundError, Refused):
        pass
    certificate = self_signed(key, datetime.now(UTC))
    write_private(home.certificate, certificate.der)
    return key, certificate


def _settle(home: Home, key: Key, envelopes: Sequence[Envelope], network: str) -> Begun:
    """Write what was learnt, and the rules of a trusting network."""
    with closing(open_state(home.state)) as state:
        facts = FactStore(state, network)
        facts.add(envelopes)
        roster = facts.roster
        member = roster.members[key.fingerprint]
        server = roster.server
        role = "peer" if server is None else "server" if server == key.fingerprint else "client"
        if roster.trusting and role != "client":
            trust(RuleBook(state), member.person)
    write_private(home.certificate, member.certificate.der)
    return Begun(
        network=roster.network,
        network_id=network,
        shape=roster.shape,
        trusting=roster.trusting,
        computer=member.name,
        person=roster.persons[member.person],
        role=role,
    )


def trust(book: RuleBook, owner: PersonId) -> None:
    """What a trusting network starts with: rules like any others, to be taken back one by one."""
    every = Door(kind="share", id=EVERY_SHARE, name=EVERY_SHARE_NAME, owner=owner)
    book.allow(MEMBERS, MEMBERS, Verb.READ, every)
    book.allow(MEMBERS, MEMBERS, Verb.RUN, Door(kind="compute", id=COMPUTE, name=COMPUTE, owner=owner))


def _shape(text: str) -> Shape:
    for shape in get_args(Shape):
        if text == shape:
            return cast("Shape", shape)
    raise WrongUsage(f"“{text}” is no shape.", "peer-to-peer or client-server")


def _addresses(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(Address.parse(text)) for text in texts)


def _require_free(addresses: Sequence[str]) -> None:
    """Raise Conflict when one is in use, while another can still be named and no code is spent."""
    for listening in bind([Address.parse(text) for text in addresses]):
        listening.close()


def _machine() -> str:
    """The machine's name, as far as it may be one here."""
    return re.sub(r"[^\w.-]", "-", platform.node().partition(".")[0]).strip("-.") or "computer"


def _user() -> str:
    try:
        return re.sub(r"[^\w.-]", "-", getpass.getuser()).strip("-.") or "owner"
    except (OSError, KeyError):  # no such user in the system's database
        return "owner"
