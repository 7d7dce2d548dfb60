"""Whoever is not of a session, at its scheduler and at its workers: with every certificate that could be at hand.

Sessions of functions and of commands, over the real doors of hub and lender. And one person's worker that asks for what
is another's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from tests.compute.conftest import BOB, CAROL, Computer, Town, now
from tests.compute.test_functions import held, hub_of, of_certificate

from commonhold.authority.authority import Verb
from commonhold.compute.certificates import SessionAuthority
from commonhold.compute.hub.session import Session
from commonhold.compute.job import Input
from commonhold.compute.relay import Wire, carry
from commonhold.errors import CommonholdError, NotFound, Refused, Unreachable
from commonhold.submit import HubThere

Shown = tuple[str, str] | None  # certificate and key
SILENT = (ssl.SSLError, ConnectionError)


@asynccontextmanager
async def stream(by: HubThere, session: str, target: str) -> AsyncIterator[socket.socket]:
    """To that process of the session; it ends when the process ends it."""
    near, far = socket.socketpair()

    async def through(wire: Wire) -> None:
        with far:
            await carry(far, wire)

    with near, far:
        async with by.socket(f"/sessions/{session}/relay/{target}") as wire:
            carrying = asyncio.create_task(through(wire))
            yield near
            carrying.cancel()
            await asyncio.gather(carrying, return_exceptions=True)


async def greeted(by: HubThere, session: str, target: str, shown: Shown, folder: Path) -> None:
    """Shake hands with that process; raises where it refuses. Dask's processes speak first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if shown is not None:
        (folder / "shown.pem").write_text("".join(shown))
        context.load_cert_chain(folder / "shown.pem")
    async with stream(by, session, target) as near:
        reader, writer = await asyncio.open_unix_connection(sock=near, ssl=context, server_hostname="")
        try:
            if not await asyncio.wait_for(reader.read(1), 20):
                raise ConnectionResetError
        finally:
            writer.transport.abort()


async def plain(by: HubThere, session: str, target: str) -> bytes:
    """What that process says to somebody who speaks Dask's language without TLS, until it ends the stream."""
    async with stream(by, session, target) as near:
        reader, writer = await asyncio.open_unix_connection(sock=near)
        writer.write((1).to_bytes(8, "little") + b"\x80" * 64)
        try:
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.transport.abort()


async def foreign(town: Town, computer: Computer, session: str) -> AsyncIterator[tuple[str, Shown]]:
    """Certificates that are not of that session, and what they are."""
    yield "none", None
    yield "the computer's own, as the roster has it", of_certificate(computer.key, computer.certificate)
    made_up = SessionAuthority(session, now()).issue("p1")
    yield "of an authority that calls itself like the session's", (made_up.certificate, made_up.key)
    async with held(town, town.computers["desk"], town.computers["tower"], on="tower") as other:
        yield "of another person's session at the same hub", (other.papers.certificate, other.papers.key)


async def speaks_with(hub: HubThere, session: str, target: str, shown: Shown, folder: Path) -> bool:
    try:
        await greeted(hub, session, target, shown, folder)
    except SILENT:
        return False
    return True


async def speaks_with_nobody_foreign(
    town: Town, computer: Computer, hub: HubThere, session: str, targets: tuple[str, ...], folder: Path
) -> None:
    async for what, shown in foreign(town, computer, session):
        for target in targets:
            assert not await speaks_with(hub, session, target, shown, folder), (target, what)
    for target in targets:
        assert b"\x80" not in await plain(hub, session, target), "of Dask's language it says nothing"


async def test_no_process_of_a_session_for_functions_speaks_with_who_is_not_of_it(town: Town, tmp_path: Path):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    for person in (BOB, CAROL):
        tower.allow(person, Verb.RUN)
    async with held(town, laptop, tower, on="tower") as one:
        hub, papers = hub_of(town, laptop, tower), one.papers
        for target in ("p0", "p1.0"):
            mine = papers.certificate, papers.key
            await soon(lambda target=target, mine=mine: greeted(hub, papers.session, target, mine, tmp_path))
        await speaks_with_nobody_foreign(town, laptop, hub, papers.session, ("p0", "p1.0"), tmp_path)


async def soon(greeting: Callable[[], object]) -> None:
    """A process that has just begun does not listen yet."""
    async with asyncio.timeout(30):
        while True:
            try:
                await greeting()  # type: ignore[misc]
            except (*SILENT, CommonholdError):
                await asyncio.sleep(0.1)
            else:
                return


@pytest_asyncio.fixture(loop_scope="module")
async def opened(lent: Town) -> Session:
    """A session for commands of ann's, with tower as hub and laptop as lender, in which something runs."""
    tower = lent.computers["tower"]
    for person in (BOB, CAROL):
        tower.allow(person, Verb.RUN)
    job = await tower.begin("sleep 600", on="laptop")
    await tower.until(job, "running")
    [session] = tower.cluster._sessions._opened.values()
    return session.result()


async def test_no_process_of_a_session_for_commands_speaks_with_who_is_not_of_it(
    lent: Town, opened: Session, tmp_path: Path
):
    """The lender's own computer at the hub's scheduler, and the hub's at the lender's worker: their nodes carry."""
    tower, laptop = lent.computers["tower"], lent.computers["laptop"]
    at_hub, at_lender = hub_of(lent, laptop, tower), hub_of(lent, tower, laptop)
    mine = opened._issuer.issue("p1")
    await soon(lambda: greeted(at_hub, opened.id, "p0", (mine.certificate, mine.key), tmp_path))
    await soon(lambda: greeted(at_lender, opened.id, "p1", (mine.certificate, mine.key), tmp_path))
    await speaks_with_nobody_foreign(lent, laptop, at_hub, opened.id, ("p0",), tmp_path)
    await speaks_with_nobody_foreign(lent, tower, at_lender, opened.id, ("p1",), tmp_path)


async def test_no_other_computer_is_carried_for_though_its_certificate_is_right(
    lent: Town, opened: Session, tmp_path: Path
):
    tower, laptop, desk = lent.computers.values()
    mine = opened._issuer.issue("p1")
    for there, target in ((tower, "p0"), (tower, "p1"), (laptop, "p0"), (laptop, "p1")):
        with pytest.raises(Refused, match="for the computers that take part"):
            await greeted(hub_of(lent, desk, there), opened.id, target, (mine.certificate, mine.key), tmp_path)
    at_hub = hub_of(lent, laptop, tower)
    with pytest.raises(SILENT):  # a lender has nothing to say to another lender's worker, nor to one beside the hub
        await greeted(at_hub, opened.id, "p1", (mine.certificate, mine.key), tmp_path)


async def test_after_its_end_a_sessions_certificate_opens_nothing(lent: Town, opened: Session, tmp_path: Path):
    tower, laptop = lent.computers["tower"], lent.computers["laptop"]
    mine = opened._issuer.issue("p1")
    await tower.cluster._sessions.end(opened)
    with pytest.raises(NotFound):
        await greeted(hub_of(lent, laptop, tower), opened.id, "p0", (mine.certificate, mine.key), tmp_path)
    async with held(lent, laptop, tower, on="tower") as later:
        with pytest.raises(SILENT):
            await greeted(
                hub_of(lent, laptop, tower), later.papers.session, "p0", (mine.certificate, mine.key), tmp_path
            )


async def test_a_worker_that_names_another_persons_task_gets_nothing_of_it(town: Town, monkeypatch: pytest.MonkeyPatch):
    """bob and carol compute at tower; what carol's worker says of bob's job is looked up among carol's papers."""
    monkeypatch.setattr("commonhold.compute.lender.stay.PAPERS_WITHIN", 0.2)
    tower, laptop, desk = town.computers.values()
    tower.allow("members", Verb.RUN)
    laptop.share("bobs")
    (laptop.shelf("bobs") / "plan.txt").write_text("bob's own")
    inputs = (Input("remote", "laptop:bobs/plan.txt", "plan.txt"),)
    job = await laptop.begin("sleep 600; : {}", inputs=inputs, into="laptop:bobs", on="tower")
    await desk.begin("sleep 600", on="tower")  # carol's first job, too: the numbers are each hub's own
    await desk.begin("sleep 600", on="tower")
    await laptop.until(job, "running")
    await desk.until(2, "running")
    (carols,) = [stay for stay in tower.lending.stays if stay.subject.person == CAROL]
    for key in ("1-1-1", "1-1-2", "1-2-1"):  # her own job of bob's number: without an input, it fetches nothing
        await carols.answer("fetch", {"key": key})
    for key in ("3-1-1", "999999999-1-1"):
        with pytest.raises(Unreachable, match="Nobody said what the tasks of job"):
            await carols.answer("fetch", {"key": key})
    for words in ({}, {"key": "../1"}, {"key": 7}, {"key": "1-1-1-1"}, {"key": "1-1"}, {"key": "-1--1--1"}):
        with pytest.raises((CommonholdError, ValueError, KeyError)):
            await carols.answer("fetch", words)
    assert not [each for each in carols.room.rglob("*") if each.is_file() and b"bob's own" in each.read_bytes()]
    assert town.stored == []
