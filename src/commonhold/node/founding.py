"""How a home begins: found a network, or join one. Both leave a home that a node can start from.

The settings are written last: a home without them has not joined, whatever else lies in it, and
the next try takes up its key. So a crash between the admission and the settings is mended by
joining again with the same key.
"""

from __future__ import annotations

import getpass
import platform
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from commonhold.authority import admission, roster
from commonhold.authority.authority import COMPUTE, EVERY_SHARE, Door, Verb
from commonhold.authority.book import RuleBook
from commonhold.authority.audit import Audit
from commonhold.authority.facts import FactStore
from commonhold.discovery import AddressBook, find_inviter
from commonhold.errors import Conflict, NotFound, WrongUsage
from commonhold.home import Home, Lending, Settings
from commonhold.identity.certificate import Certificate, self_signed
from commonhold.identity.code import Code, recovery_key, recovery_words, split_address
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, NetworkName, PersonId, PersonName
from commonhold.node.background import hold
from commonhold.node.state import open_state
from commonhold.transport import Address, Knock, run

SHAPES = ("peer-to-peer", "client-server")


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
    if shape not in SHAPES:
        raise WrongUsage(f"“{shape}” is no shape.", "peer-to-peer or client-server")
    named = NetworkName(network)
    computer_name, person_name = ComputerName(computer or _machine()), PersonName(person or _user())
    addresses = _addresses(listen)
    with _empty(home):
        key, certificate = _identity(home)
        entropy = secrets.token_bytes(16)
        founding = roster.found(
            key=key,
            certificate=certificate,
            network=named,
            shape=shape,
            trusting=trusting,
            computer=computer_name,
            person=person_name,
            person_id=PersonId(secrets.token_hex(16)),
            recovery=recovery_key(recovery_words(entropy)),
            now=datetime.now(UTC),
        )
        begun = _settle(home, key, [founding], founding.id, addresses, Lending())
        Audit(home.audit).record("founding", network=named, shape=shape, person=person_name, computer=computer_name)
    return Begun(**begun, recovery=recovery_words(entropy))


def join(
    home: Home,
    code: str,
    person: str | None = None,
    computer: str | None = None,
    listen: Sequence[str] = (),
    lend: str | None = None,
) -> Begun:
    """Join by `CODE` or `CODE@HOST:PORT`. Raises WrongCode, Unreachable, NotFound (nobody with that code), Conflict."""
    text, where = split_address(code)
    parsed = Code.parse(text)
    computer_name = ComputerName(computer or _machine())
    person_name = PersonName(person or _user())
    addresses = _addresses(listen)
    if lend not in {None, "always", "never"}:
        raise WrongUsage(f"“{lend}” is no time to lend.", "always or never")
    with _empty(home):
        key, certificate = _identity(home)
        joined, inviter_at = run(_knock(parsed, where, key, certificate, computer_name, person_name, explicit=bool(person)))
        begun = _settle(
            home, key, joined.envelopes, joined.network_id, addresses, Lending(when="never" if lend == "never" else "always")
        )
        state = open_state(home.state)
        book = AddressBook(state)
        book.remember(joined.inviter, [inviter_at], datetime.now(UTC))
        for fingerprint, found in joined.addresses.items():
            book.remember(fingerprint, found, None)
        inviter = FactStore(state, joined.network_id).roster.members[joined.inviter].name
        state.close()
        Audit(home.audit).record("join", network=begun["network"], inviter=inviter)
    return Begun(**begun, inviter=inviter)
