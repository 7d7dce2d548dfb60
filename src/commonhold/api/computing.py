"""The network's processors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING
from weakref import WeakSet

from commonhold.api.asking import Asking
from commonhold.compute.environment import Packages
from commonhold.compute.job import Forgotten, Job, JobSpec, Plan, State, Task
from commonhold.compute.said import Said
from commonhold.compute.submitter.holding import Holding
from commonhold.compute.submitter.requirements import Requirements
from commonhold.errors import WrongUsage
from commonhold.home import Home
from commonhold.submit import JobEvent, Submitter

if TYPE_CHECKING:
    from commonhold.compute.submitter.client import LentClient
    from commonhold.compute.submitter.executor import LentExecutor


class Computing(Asking):
    """Jobs: one command over many inputs."""

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self._submitter = Submitter(self._node, self._caller, self._peer, home.wheels)
        self._executors: WeakSet[LentExecutor] = WeakSet()
        self._clients: WeakSet[LentClient] = WeakSet()

    def run(
        self,
        command: str | Sequence[str],
        inputs: str | Sequence[str | PathLike[str]] = (),
        into: str | None = None,
        on: str = "any",
        *,
        timeout: float | None = None,
        retries: int = 0,
        cores: int = 1,
        memory: int = 0,
        env: Requirements | None = None,
        wait: bool = True,
        progress: Callable[[JobEvent], None] | None = None,
    ) -> Job:
        """Run a command once for each input, on the processors that this person may use.

        One string is given to `sh -c`, several words run without a shell. An input is a remote file
        (`COMPUTER:SHARE/PATH`, globs too), a file that exists here, a folder of either kind (all files in it), or
        a plain value. New files go to the folder `into`, else to the job's own (`Job.into`). `env` is a file of
        requirements, as pip reads it, or a list of them: these packages travel along, and commands find their `python`
        and programs first. `memory` is what one task uses at most, in bytes: no more of them run at a computer than fit
        into what it lends, and one that uses more ends. With `wait` the job is returned when it has ended; tasks that
        failed are counted in it and told by `log`. Raises Refused when no computer lends (so much), NotFound for inputs
        that are not there and for packages that have no wheel.
        """
        spec = JobSpec(_words(command), (), into, on, timeout, retries, cores, memory)
        return self._loop.run(self._submitter.run(spec, _texts(inputs), wait, progress, env))

    def executor(
        self, on: str = "any", *, cores: int = 1, retries: int = 0, env: Requirements | None = None
    ) -> LentExecutor:
        """A `concurrent.futures.Executor` whose calls run on the processors that this person may use.

        `on` is `any`, `all`, or a computer's name; each call has `cores` to itself, and one that raises is tried again
        `retries` times. With `env`, as for `run`, functions import from the packages that it names. Short calls travel
        together. What they print is printed here. Whoever uses it trusts the computers that compute with the process
        that asks: results are pickles that they made. Raises Refused when no computer lends, WrongUsage for another
        Python.
        """
        from commonhold.compute.submitter.executor import LentExecutor  # noqa: PLC0415 - as in `dask`

        executor = LentExecutor(lambda: self._hold(on, cores, env), retries)
        self._executors.add(executor)
        return executor

    def plan(
        self,
        command: str | Sequence[str],
        inputs: str | Sequence[str | PathLike[str]] = (),
        into: str | None = None,
        *,
        env: Requirements | None = None,
    ) -> list[Plan]:
        """What `run` would do, task by task: inputs are looked for, and nothing is done. Raises as `run` does."""
        return self._loop.run(self._submitter.plan(JobSpec(_words(command), (), into), _texts(inputs), env))

    def packages(self, env: Requirements, progress: Callable[[JobEvent], None] | None = None) -> Packages:
        """The packages that a file of requirements (or a list of them) gives, and how much must be sent for a job.

        They are downloaded to this computer, and nothing is sent. Raises NotFound for those that have no wheel.
        """
        return self._loop.run(self._submitter.packages(env, progress))

    def dask(self, on: str = "any", *, cores: int = 1, env: Requirements | None = None) -> LentClient:
        """A `distributed.Client` whose workers run on the processors that this person may use.

        `on` is `any`, `all`, or a computer's name; each task has `cores` for itself. With `env`, as for `run`, tasks
        import from the packages that it names. It is the default of what Dask computes until it is closed. Whoever uses
        it trusts the computers that compute with the process that asks: results are pickles that they made. Raises
        Refused when no computer lends, WrongUsage for another Python.
        """
        from commonhold.compute.submitter.client import LentClient  # noqa: PLC0415 - Dask is loaded only by who uses it

        client = LentClient(self._hold(on, cores, env), set_as_default=True)
        self._clients.add(client)
        return client

    def close(self) -> None:
        """End all connections, and what this process has running on lent processors; the node goes on."""
        for executor in list(self._executors):
            executor.abandon()
        for client in list(self._clients):
            client.close()  # type: ignore[no-untyped-call]
        super().close()

    def _hold(self, on: str, cores: int, env: Requirements | None) -> Holding:
        environment = self._loop.run(self._submitter.environment(env, None))
        holding = Holding(self._loop, self._submitter.hub, on, cores, environment)
        holding.open()
        return holding

    def jobs(self) -> list[Job]:
        """The jobs of this person; at a hub its owner sees all."""
        return self._loop.run(self._submitter.jobs())

    def job(self, number: int) -> Job:
        """One job. Raises NotFound."""
        return self._loop.run(self._submitter.job(number))

    def follow(self, job: int, progress: Callable[[JobEvent], None] | None = None) -> Job:
        """Wait for a job; `progress` hears of every change, from the beginning."""
        return self._loop.run(self._submitter.follow(job, progress))

    def cancel(self, job: int) -> Job:
        """End a job: what waits or runs of it is cancelled, what is done stays. Raises Conflict when it has ended."""
        return self._loop.run(self._submitter.cancel(job))

    def again(self, job: int, wait: bool = True, progress: Callable[[JobEvent], None] | None = None) -> Job:
        """Run what failed or was cancelled of a job once more, under its number. Raises Conflict when nothing did.

        Of a job that never had all its local inputs, what is missing is brought.
        """
        return self._loop.run(self._submitter.again(job, wait, progress))

    def forget_job(self, job: int) -> Forgotten:
        """Let go all that is kept of an ended job at its hub, for good: its folder, what its tasks said, that it was.

        Raises NotFound, Conflict for a job that has not ended, and Refused for another person's.
        """
        return self._loop.run(self._submitter.forget(job))

    def log(self, job: int, task: int | None = None, *, state: str | None = None, said: bool = False) -> list[Task]:
        """What the tasks of a job printed, and how they ended: all, one, those in a `state`, or that `said` something.

        Raises NotFound, and WrongUsage for a state that there is none.
        """
        if state is not None and state not in set(State):
            raise WrongUsage(f"“{state}” is no state of a task.", ", ".join(State))
        return self._loop.run(self._submitter.log(job, task, State(state) if state else None, said))

    def listen(self, job: int, task: int | None = None) -> Iterator[Said | Task]:
        """What the tasks of a job say, as they say it (`Said`), and each that has ended (`Task`, without its text).

        First what has ended already; the end is that of the job, or of the one task. Raises NotFound.
        """
        return self._loop.iterate(self._submitter.listen(job, task))


def _words(command: str | Sequence[str]) -> str | tuple[str, ...]:
    return command if isinstance(command, str) else tuple(command)


def _texts(inputs: str | Sequence[str | PathLike[str]]) -> list[str]:
    """One text is one input, and no letters; a path is its text. Raises WrongUsage for what is neither."""
    texts = []
    for given in [inputs] if isinstance(inputs, str) else inputs:
        if not isinstance(given, str | PathLike) or not isinstance(text := fspath(given), str):
            raise WrongUsage(f"An input is text or a path, and {given!r} is neither.", "for a number: str(number)")
        texts.append(text)
    return texts
