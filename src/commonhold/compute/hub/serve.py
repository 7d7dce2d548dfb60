"""Jobs over HTTP: at the gateway for this computer's own person, at a server's listener for everybody it serves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import TypeVar

from aiohttp import web

from commonhold.authority.authority import Subject
from commonhold.authority.gate import SUBJECT
from commonhold.compute.hub.cluster import Cluster
from commonhold.compute.hub.following import Following
from commonhold.compute.hub.functions import Functions
from commonhold.compute.hub.opening import Opening
from commonhold.compute.job import JobSpec, State, Task
from commonhold.compute.lender.lend import Lending
from commonhold.compute.papers import LARGEST, FunctionsWish, Inquiry, JobPapers, Offer, Rest
from commonhold.compute.relay import Switchboard
from commonhold.compute.said import Listening
from commonhold.errors import Conflict, NotFound, Refused
from commonhold.names import Fingerprint, PersonId
from commonhold.transport import answer_groups, answer_lines, document, json_answer

Asked = TypeVar("Asked", bound=Inquiry)
MOST_FOLLOWERS = 8  # of one job: each has its lenders asked twice a second
NOBODY = Fingerprint("0" * 64)


class Jobs:
    """`owner` is this node's: it sees every job, other people their own."""

    def __init__(self, cluster: Cluster, owner: PersonId) -> None:
        self._cluster = cluster
        self._owner = owner
        self._followers: Counter[int] = Counter()  # by job

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/jobs", self._submit),
            web.get("/jobs", self._list),
            web.get(r"/jobs/{job:\d{1,9}}", self._show),
            web.delete(r"/jobs/{job:\d{1,9}}", self._forget),
            web.get(r"/jobs/{job:\d{1,9}}/inputs", self._inputs),
            web.get(r"/jobs/{job:\d{1,9}}/collecting", self._hold),
            web.post(r"/jobs/{job:\d{1,9}}/start", self._begin),
            web.post(r"/jobs/{job:\d{1,9}}/cancel", self._cancel),
            web.post(r"/jobs/{job:\d{1,9}}/again", self._again),
            web.get(r"/jobs/{job:\d{1,9}}/events", self._events),
            web.get(r"/jobs/{job:\d{1,9}}/log", self._log),
            web.get(r"/jobs/{job:\d{1,9}}/said", self._said),
        ]

    async def _submit(self, request: web.Request) -> web.Response:
        """JobSpec -> Job, `collecting`."""
        return json_answer(await self._cluster.submit(request[SUBJECT], await document(request, JobSpec, LARGEST)))

    async def _inputs(self, request: web.Request) -> web.Response:
        """-> a list of Input: those that must be brought."""
        inputs = self._cluster.journal.spec(self._asked(request)).inputs
        return json_answer([given for given in inputs if given.kind == "local"])

    async def _hold(self, request: web.Request) -> web.StreamResponse:
        """-> lines, for as long as the job collects its inputs. When nobody reads them any more, it has stopped."""
        async with aclosing(self._cluster.collecting.held(self._asked(request))) as lines:
            return await answer_lines(request, lines)

    async def _begin(self, request: web.Request) -> web.Response:
        """-> Job. Shielded: who asks may hang up, the job goes on."""
        beginning = self._cluster.begin(self._asked(request))
        return json_answer(await asyncio.shield(asyncio.ensure_future(beginning)))

    async def _cancel(self, request: web.Request) -> web.Response:
        """-> Job, `cancelled`. 409 for one that has ended."""
        return json_answer(await self._cluster.cancel(self._asked(request)))

    async def _again(self, request: web.Request) -> web.Response:
        """-> Job, running: what failed or was cancelled of it waits again. 409 when there is nothing to do.

        Or `collecting`, when it never had all its inputs.
        """
        beginning = self._cluster.again(self._asked(request), request[SUBJECT].computer)
        return json_answer(await asyncio.shield(asyncio.ensure_future(beginning)))

    async def _list(self, request: web.Request) -> web.Response:
        subject: Subject = request[SUBJECT]
        everything = subject.person == self._owner
        return json_answer(self._cluster.journal.jobs(None if everything else subject.person))

    async def _show(self, request: web.Request) -> web.Response:
        return json_answer(self._cluster.journal.job(self._asked(request)))

    async def _forget(self, request: web.Request) -> web.Response:
        """-> Forgotten. Its person's alone: 403 for the owner. 409 for one that has not ended."""
        job, journal = self._asked(request), self._cluster.journal
        if request[SUBJECT].person != journal.person(job):
            raise Refused(f"Job {job} is {journal.job(job).person}'s: nobody else has it forgotten.")
        return json_answer(await asyncio.shield(asyncio.ensure_future(self._cluster.forgetting.forget(job))))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """JSON lines: `{"event": "job" | "task" | "note", …}`, the last one a job with `ended`."""
        return await answer_groups(request, self._cluster.news.groups(self._asked(request)))

    async def _log(self, request: web.Request) -> web.StreamResponse:
        """-> lines of Task. `?task=3`: that one; `?state=failed`, `?said=1`: those of which it holds."""
        return await answer_groups(request, self._pages(self._asked(request), request.query))

    async def _pages(self, job: int, query: Mapping[str, str]) -> AsyncIterator[list[Task]]:
        task, journal = query.get("task", ""), self._cluster.journal
        if task.isdecimal():
            yield journal.tasks(job, int(task))
            return
        states = [State(query["state"])] if query.get("state") in set(State) else []
        for page in journal.pages(job, states, said="said" in query):
            yield page
            await asyncio.sleep(0)

    async def _said(self, request: web.Request) -> web.StreamResponse:
        """-> lines of FollowLine. `?task=3`: of that one only."""
        job, task = self._asked(request), request.query.get("task", "")
        if self._followers[job] >= MOST_FOLLOWERS:
            raise Conflict(f"Job {job} is followed by {MOST_FOLLOWERS} already.", f"commonhold log {job}")
        following = Following(job, int(task) if task.isdecimal() else 0, self._cluster)
        self._followers[job] += 1
        try:
            async with aclosing(following.told()) as groups:
                return await answer_groups(request, groups)
        finally:
            self._followers[job] -= 1

    def _asked(self, request: web.Request) -> int:
        """The job's number; NotFound for another person's, as for one that does not exist."""
        job = int(request.match_info["job"])
        person = request[SUBJECT].person
        if person is None or person not in {self._owner, self._cluster.journal.person(job)}:
            raise NotFound(f"There is no job {job}.", "commonhold jobs")
        return job


class Calls:
    """People's own processes that call functions: at the gateway, and at a server's listener."""

    def __init__(self, functions: Functions, streams: Streams) -> None:
        self._functions = functions
        self._streams = streams

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/functions", self._hold),
            web.delete("/functions/{session}/{participant}", self._goodbye),
        ]

    def local(self) -> list[web.RouteDef]:
        """For the gateway, which has no streams between computers."""
        return [*self.routes(), self._streams.relaying()]

    async def _hold(self, request: web.Request) -> web.StreamResponse:
        """FunctionsWish -> lines: FunctionsPapers, then FunctionsNews. Who hangs up lets go."""
        holding = self._functions.hold(request[SUBJECT], await document(request, FunctionsWish))
        try:
            return await answer_lines(request, holding)
        finally:
            await holding.aclose()

    async def _goodbye(self, request: web.Request) -> web.Response:
        found = request.match_info
        self._functions.goodbye(found["session"], found["participant"], request[SUBJECT].computer)
        return web.Response(status=204)


class Loans:
    """What a hub asks of a lender, on its listener."""

    def __init__(self, lending: Lending) -> None:
        self._lending = lending

    def routes(self) -> list[web.RouteDef]:
        stay = "/sessions/{session}/{participant}"
        return [
            web.post("/sessions/inquiry", self._consider),
            web.post("/sessions", self._lend),
            web.post(stay + r"/jobs/{job:\d{1,9}}", self._brief),
            web.delete(stay + r"/jobs/{job:\d{1,9}}", self._forget),
            web.post(stay + r"/jobs/{job:\d{1,9}}/said", self._said),
            web.delete(stay, self._end),
        ]

    async def _consider(self, request: web.Request) -> web.Response:
        return json_answer(await self._lending.consider(*_own(request, await document(request, Inquiry))))

    async def _lend(self, request: web.Request) -> web.Response:
        return json_answer(await self._lending.lend(*_own(request, await document(request, Offer))))

    async def _brief(self, request: web.Request) -> web.Response:
        stay = self._stay(request)
        papers = await document(request, JobPapers, LARGEST)
        packed = "Content-Encoding" in request.headers  # then it is more than its length says
        size = LARGEST if packed else request.content_length or LARGEST
        self._lending.papers(*stay, int(request.match_info["job"]), papers, size)
        return web.Response(status=204)

    async def _forget(self, request: web.Request) -> web.Response:
        self._lending.stays.forget(*self._stay(request), int(request.match_info["job"]))
        return web.Response(status=204)

    async def _said(self, request: web.Request) -> web.Response:
        """Listening -> a list of Piece."""
        stay = self._lending.stays.find(*self._stay(request))
        return json_answer(await stay.said(int(request.match_info["job"]), await document(request, Listening)))

    async def _end(self, request: web.Request) -> web.Response:
        """-> Farewell. `?lost=1`: its worker is gone, the hub says."""
        stay = request.match_info["session"], request.match_info["participant"]
        hub = request[SUBJECT].computer or NOBODY
        return json_answer(await self._lending.stays.dismiss(*stay, hub, lost="lost" in request.query))

    def _stay(self, request: web.Request) -> tuple[str, str]:
        """The session and participant that the asking computer, its hub, speaks of. Raises NotFound."""
        stay = request.match_info["session"], request.match_info["participant"]
        self._lending.stays.find(*stay, request[SUBJECT].computer or NOBODY)
        return stay


def _own(request: web.Request, asked: Asked) -> tuple[Subject, Asked]:
    """The subject and what it asks for, which must be for itself."""
    subject: Subject = request[SUBJECT]
    if asked.person != subject.person:
        raise Refused("A session is for the person of the computer that asks.")
    return subject, asked


class Rests:
    """What a lender tells the hub of a worker, on the hub's listener."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/sessions/{session}/{participant}/rest", self._rest)]

    async def _rest(self, request: web.Request) -> web.Response:
        """Rest. 404 for a worker of another computer's."""
        found, computer = request.match_info, request[SUBJECT].computer or NOBODY
        rest = await document(request, Rest)
        await self._opening.rest(found["session"], found["participant"], computer, rest)
        return web.Response(status=204)


class Streams:
    """What computers of a session ask of one another, on the listener of hub and lender alike."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/sessions/{session}", self._alive),
            self.relaying(),
        ]

    def relaying(self) -> web.RouteDef:
        return web.get("/sessions/{session}/relay/{target}", self._relay)

    async def _alive(self, request: web.Request) -> web.Response:
        """A lender asks whether its hub still holds the session."""
        self._switchboard.get(request.match_info["session"], request[SUBJECT].computer)
        return web.Response(status=204)

    async def _relay(self, request: web.Request) -> web.WebSocketResponse:
        found = request.match_info
        return await self._switchboard.relay(found["session"], found["target"], request[SUBJECT].computer, request)
