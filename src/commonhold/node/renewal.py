"""A server's certificate for people's programs: set once, shown from then on, read again when it was renewed."""

from __future__ import annotations

import asyncio
import logging
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from msgspec.structs import replace

from commonhold.authority.facts import FactStore
from commonhold.errors import CommonholdError, WrongUsage
from commonhold.home import Home, Settings
from commonhold.identity.keys import Key
from commonhold.node.state import open_state
from commonhold.transport import Listener, PublicCertificate

LOOK_EVERY = 2.0  # seconds

log = logging.getLogger(__name__)
Stamp: TypeAlias = tuple[str, str, tuple[tuple[int, int, int], ...]]


def chosen(certificate: str | None, key: str | None, *, server: bool) -> tuple[str, str]:
    """The two files as the settings keep them, checked; nothing without both. Raises WrongUsage, NotFound."""
    if not certificate and not key:
        return "", ""
    if not certificate or not key:
        raise WrongUsage("A certificate and its key belong together.", "give both: --certificate FILE --key FILE")
    if not server:
        raise WrongUsage("A certificate is a server's matter.", "computers of a network know one another's keys")
    found = Path(certificate).expanduser().absolute(), Path(key).expanduser().absolute()
    PublicCertificate.read(*found, datetime.now(UTC))
    return str(found[0]), str(found[1])


def settle(home: Home, certificate: str | None, key: str | None) -> tuple[str, ...]:
    """Show that certificate from now on, or none; a running node does so within seconds. Returns the names it is for.

    Raises WrongUsage, NotFound; then all stays as it was.
    """
    settings = home.settings()
    with closing(open_state(home.state)) as state:
        server = FactStore(state, settings.network).roster.server
    files = chosen(certificate, key, server=server == Key.load(home.key).fingerprint)
    settings = replace(settings, certificate=files[0], certificate_key=files[1])
    home.save_settings(settings)
    return tuple(sorted(_read(settings).names)) if settings.certificate else ()


class Renewal:
    """Shows a server's certificate at its listener, and looks whether it is another now."""

    def __init__(self, home: Home) -> None:
        self.trouble = ""  # why none is shown, or none much longer
        self._home = home
        self._stamp: Stamp | None = None
        self._ends: datetime | None = None

    async def present(self, listener: Listener) -> None:
        """Read it if it is new. One that cannot be shown leaves the one before in place: members need none."""
        settings = await asyncio.to_thread(self._home.settings)
        stamp = await asyncio.to_thread(_stamp, settings)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                public = await asyncio.to_thread(_read, settings) if settings.certificate else None
                await listener.present(public)
                self.trouble, self._ends = "", public.ends if public else None
            except CommonholdError as error:
                self.trouble = error.sentence
                log.warning("the certificate is not shown: %s", error.sentence)
        if self._ends is not None and datetime.now(UTC) >= self._ends:
            self.trouble = f"The certificate in {settings.certificate} ended on {self._ends:%Y-%m-%d}."

    async def watch(self, listener: Listener) -> None:
        """Go on looking, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.present(listener)
            except CommonholdError as error:  # settings that somebody is just editing
                log.warning("%s", error.sentence)


def _read(settings: Settings) -> PublicCertificate:
    return PublicCertificate.read(Path(settings.certificate), Path(settings.certificate_key), datetime.now(UTC))


def _stamp(settings: Settings) -> Stamp:
    """What changes when one of the files does, or another is named."""
    return (
        settings.certificate,
        settings.certificate_key,
        tuple(map(_mark, (settings.certificate, settings.certificate_key))),
    )


def _mark(path: str) -> tuple[int, int, int]:
    try:
        status = Path(path).stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_size, status.st_mtime_ns)
