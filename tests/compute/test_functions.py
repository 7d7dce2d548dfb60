"""Sessions for functions, at their hub: who gets papers, what the papers open, and when a session ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.compute.conftest import ANN, BOB, CAROL, Computer, Town, guests_of, nobody_left, now

from commonhold.authority.authority import Standing, Subject, Verb
from commonhold.compute.certificates import Papers, SessionAuthority
from commonhold.compute.hub.opening import _absence
from commonhold.compute.hub.seats import Seat
from commonhold.compute.papers import PYTHON, Accepted, FunctionsPapers, FunctionsWish
from commonhold.compute.relay import carry
from commonhold.errors import NotFound, Refused, Unreachable, WrongUsage
from commonhold.identity.certificate import Certificate
from commonhold.identity.keys import Key
from commonhold.submit import HubThere
from commonhold.wire import convert


def hub_of(town: Town, asking: Computer, hub: Computer) -> HubThere:
    return HubThere(asking.caller, town.peer(hub.fingerprint))


class Held:
    """What a process that holds a session has: its papers, and what it hears."""

    def __init__(self, papers: FunctionsPapers, lines: AsyncIterator[Any]) -> None:
        self.papers, self.lines = papers, lines

    async def end(self) -> None:
        """Hear until the session ends; raises why."""
        async for _ in self.lines:
            pass


@asynccontextmanager
async def held(town: Town, asking: Computer, hub: Computer, **wish: Any) -> AsyncIterator[Held]:
    """A process at `asking` holds a session of `hub` inside, and hangs up after it."""
    stream = hub_of(town, asking, hub).stream("POST", "/functions", FunctionsWish(**{"python": PYTHON} | wish))
    async with aclosing(stream) as lines:  # type: ignore[type-var]
        yield Held(convert(await anext(lines), FunctionsPapers), lines)


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.02)


def of_certificate(key: Key, certificate: Certificate) -> tuple[str, str]:
    return ssl.DER_cert_to_PEM_cert(certificate.der), key.pem().decode()


async def shaken(hub: HubThere, session: str, shown: tuple[str, str] | None, folder: Path) -> None:
    """Shake hands with the scheduler of that session, with that certificate and key; raises where it refuses."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if shown is not None:
        (folder / "shown.pem").write_text("".join(shown))
        context.load_cert_chain(folder / "shown.pem")
    near, far = socket.socketpair()
    async with hub.socket(f"/sessions/{session}/relay/p0") as wire:
        carrying = asyncio.create_task(carry(far, wire))
        reader, writer = await asyncio.open_unix_connection(sock=near, ssl=context, server_hostname="")
        try:
            # TLS 1.3 tells a client only after its own part that it is refused. A scheduler speaks first.
            if not await asyncio.wait_for(reader.read(1), 10):
                raise ConnectionResetError
        finally:
            writer.transport.abort()
            carrying.cancel()
            far.close()


async def test_a_process_gets_papers_that_make_it_part_of_the_session_until_it_lets_go(town: Town, tmp_path: Path):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.allow(BOB, Verb.RUN)
    async with held(town, laptop, tower, on="tower") as one:
        assert one.papers.lenders == {"p1": "tower"}
        assert one.papers.participant == "c1"
        hub = hub_of(town, laptop, tower)
        await shaken(hub, one.papers.session, (one.papers.certificate, one.papers.key), tmp_path)
        await hub.ask("DELETE", f"/functions/{one.papers.session}/c1")
        await one.end()
        with pytest.raises(Refused):
            async with hub.socket(f"/sessions/{one.papers.session}/relay/p0"):
                pass


async def test_nobody_elses_process_gets_in(town: Town, tmp_path: Path):
    """Not with a certificate of the roster, not without one, not with one of another session, not from elsewhere."""
    tower, laptop, desk = town.computers.values()
    for other in (BOB, CAROL):
        tower.allow(other, Verb.RUN)
    async with held(town, laptop, tower, on="tower") as bobs, held(town, desk, tower, on="tower") as carols:
        session, hub = bobs.papers.session, hub_of(town, laptop, tower)
        made_up = SessionAuthority(session, now()).issue("c1")
        for shown in (
            None,
            of_certificate(laptop.key, laptop.certificate),
            (carols.papers.certificate, carols.papers.key),
            (made_up.certificate, made_up.key),
        ):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await shaken(hub, session, shown, tmp_path)
        with pytest.raises(Refused, match="for the computers that take part"):  # though its certificate is right
            await shaken(hub_of(town, desk, tower), session, (bobs.papers.certificate, bobs.papers.key), tmp_path)
        with pytest.raises(NotFound):
            await hub_of(town, desk, tower).ask("DELETE", f"/functions/{session}/c1")


async def test_without_the_right_there_are_no_papers(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    with pytest.raises(Refused, match="bob may not run"):
        async with held(town, laptop, tower):
            pass
    assert not guests_of(tower.folder)


async def test_another_python_is_refused_before_anything_starts(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.allow(BOB, Verb.RUN)
    with pytest.raises(WrongUsage, match=f"tower, where the scheduler runs, has Python {PYTHON}, and this .* 3.99"):
        async with held(town, laptop, tower, python="3.99"):
            pass
    with pytest.raises(WrongUsage, match="at least one core"):
        async with held(town, laptop, tower, cores=0):
            pass
    assert not guests_of(tower.folder)


async def test_who_has_no_computer_calls_no_functions(alone: Computer):
    visitor = Subject(standing=Standing.MEMBER, person=ANN, person_name="ann")
    with pytest.raises(Refused, match="from computers of the network"):
        await anext(alone.functions.hold(visitor, FunctionsWish(PYTHON)))


async def test_each_lender_says_why_it_takes_no_part(town: Town):
    tower, laptop, _ = town.computers.values()
    laptop.allow(ANN, Verb.RUN)
    async with held(town, tower, tower, cores=2, on="all") as one:
        assert sorted(one.papers.lenders.values()) == ["laptop", "tower"]
        assert [note for note in one.papers.notes if note.startswith("desk refused: ann may not run")]
    with pytest.raises(Refused, match="laptop lends ann 2 cores, and each call needs 3"):
        async with held(town, tower, tower, cores=3, on="laptop"):
            pass


async def test_a_computer_whose_address_nobody_knows_yet_is_told_of(town: Town, monkeypatch: pytest.MonkeyPatch):
    tower = town.computers["tower"]
    monkeypatch.setattr(town, "peers_of", lambda _: [])
    with pytest.raises(Unreachable, match="“laptop” cannot be asked to compute: nobody knows its address yet"):
        async with held(town, tower, tower, on="laptop"):
            pass


def test_who_refused_nothing_and_is_of_no_use_is_told_of():
    seat = Seat("p1", "laptop", Key.generate().fingerprint, None)
    assert _absence(seat, 1) == "laptop left before anything could begin there."
    seat.accepted = Accepted(2, "bubblewrap", 2**30)
    assert [_absence(seat, cores) for cores in (2, 3)] == ["", "laptop lends 2 cores."]


async def test_a_right_that_ends_ends_the_session_and_the_streams_into_it(town: Town, tmp_path: Path):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.allow(BOB, Verb.RUN)
    async with held(town, laptop, tower, on="tower") as one:
        hub = hub_of(town, laptop, tower)
        async with hub.socket(f"/sessions/{one.papers.session}/relay/p0") as stream:
            tower.deny(BOB, Verb.RUN)
            assert (await asyncio.wait_for(stream.receive(), 10)).data in {None, 1000, 1006}
        with pytest.raises((Refused, Unreachable)):
            await one.end()
    await nobody_left(tower.folder)
    with pytest.raises(Refused, match="bob may not run"):
        async with held(town, laptop, tower, on="tower"):
            pass


async def test_who_hangs_up_leaves_nothing_running_and_who_says_goodbye_a_warm_session(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.allow(BOB, Verb.RUN)
    async with held(town, laptop, tower, on="tower") as first:
        await hub_of(town, laptop, tower).ask("DELETE", f"/functions/{first.papers.session}/c1")
        await first.end()
    async with held(town, laptop, tower, on="tower") as second, held(town, laptop, tower, on="tower") as third:
        assert second.papers.session == third.papers.session == first.papers.session
        assert [second.papers.participant, third.papers.participant] == ["c2", "c3"]
    async with asyncio.timeout(10):
        while tower.switchboard.switches:  # noqa: ASYNC110 - a session ends a little after its processes
            await asyncio.sleep(0.02)
    await nobody_left(tower.folder)


async def test_a_scheduler_that_is_lost_is_told_to_who_holds_the_session(town: Town):
    tower = town.computers["tower"]
    async with held(town, tower, tower, on="tower") as one:
        [session] = tower.functions._holders
        os.kill(session._box.pid, signal.SIGKILL)
        with pytest.raises(Unreachable, match="scheduler of this"):
            await one.end()


async def test_a_process_that_a_function_ended_is_replaced_and_its_lender_stays(town: Town):
    tower = town.computers["tower"]
    async with held(town, tower, tower, on="tower"):
        [session] = tower.functions._holders
        [seat] = session.seats.seated()
        await until(lambda: seat.processes == {"p1.0", "p1.1"})
        [lent] = tower.lending.stays
        family = psutil.Process(lent.box.pid).children(recursive=True)
        workers = [each for each in family if not each.children()]
        assert len(workers) == 2, "one for each core"
        workers[0].kill()
        await until(lambda: len(seat.processes) == 1)
        await until(lambda: seat.processes == {"p1.0", "p1.1"})
        assert workers[1].is_running()
        assert (seat.returns, seat.accepted is not None) == (0, True)


async def test_commands_and_functions_have_sessions_of_their_own(alone: Computer):
    job = await alone.run(("echo", sys.version))
    assert job.done == 1
    holding = alone.functions.hold(alone.me, FunctionsWish(PYTHON))
    papers = await anext(holding)
    assert isinstance(papers, FunctionsPapers)
    assert len(alone.switchboard.switches) == 2
    assert Papers(papers.authority, papers.certificate, papers.key).key.startswith("-----BEGIN PRIVATE KEY")
    await holding.aclose()
