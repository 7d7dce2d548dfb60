"""What a job is: one command over many inputs, and how each of its tasks goes from state to state. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

from commonhold.compute.environment import Environment
from commonhold.errors import CommonholdError, Refused, WrongUsage
from commonhold.names import RemotePath, SharePath

MOST_INPUTS = 100_000  # of one job
MOST_MEMORY = 2**50  # bytes for one task
MOST_TASKS = 2**31  # far more than inputs: with --on all there is one of each for each computer
Found = tuple[Literal["remote", "local"], str, tuple[str, ...], int]  # kind, text, whole path, of it the folder named
KEPT_OUTPUT = 65_536  # bytes of a task's output (and of its errors): its head and its tail


class State(StrEnum):
    COLLECTING = "collecting"  # a job whose local inputs are being uploaded
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    STOPPED = "stopped"  # a job of which the upload of local inputs broke off


# How a task may go on. Back to waiting: the computer that ran it was lost. (`again` begins anew: journal.reopen.)
TASK_MOVES: dict[State, frozenset[State]] = {
    State.WAITING: frozenset({State.RUNNING, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset({State.WAITING, State.RUNNING, State.DONE, State.FAILED, State.CANCELLED}),
}
JOB_MOVES: dict[State, frozenset[State]] = {
    State.COLLECTING: frozenset({State.RUNNING, State.FAILED, State.CANCELLED, State.STOPPED}),
    State.RUNNING: frozenset({State.DONE, State.FAILED, State.CANCELLED}),
}
ENDED = frozenset(State) - TASK_MOVES.keys() - JOB_MOVES.keys()


def may_follow(old: State, new: State) -> bool:
    """Whether a task in `old` may become `new`; what has ended stays as it is."""
    return new in TASK_MOVES.get(old, frozenset())


class Input(msgspec.Struct, frozen=True):
    """One input. A task finds a file under `name` in its folder; a value has no file."""

    kind: Literal["remote", "local", "value"]
    text: str  # COMPUTER:SHARE/PATH, a path at the submitter, or the value itself
    name: str = ""
    reldir: str = ""  # its folder, relative to what all file inputs have in common; outputs go to the same

    @property
    def uploaded(self) -> SharePath:
        """Where a local input is uploaded to, in the job's own folder."""
        return SharePath(("in", *SharePath.parse(self.reldir).parts, self.name))


class JobSpec(msgspec.Struct, frozen=True):
    """What a person asked for: the body of POST /jobs. One command text goes to `sh -c`, words run without a shell."""

    command: str | tuple[str, ...]
    inputs: tuple[Input, ...] = ()
    into: str | None = None  # COMPUTER:SHARE/FOLDER; without it the job's own folder
    on: str = "any"  # any, all, or a computer's name
    timeout: float | None = None  # seconds for each task
    retries: int = 0
    cores: int = 1  # for each task
    memory: int = 0  # bytes that each task uses at most; 0: nobody knows
    environment: Environment | None = None  # of which all wheels are at the hub before it begins

    @property
    def title(self) -> str:
        """The command as people read it."""
        return self.command if isinstance(self.command, str) else " ".join(self.command)

    def check(self) -> None:
        """Raise WrongUsage for what makes no sense; what came over the network is checked here too."""
        if not self.command or not "".join(self.command).strip():
            raise WrongUsage("There is no command to run.", "commonhold run 'COMMAND' ::: INPUT…")
        if len(self.inputs) > MOST_INPUTS:
            raise WrongUsage(f"A job takes at most {MOST_INPUTS} inputs.", "make several jobs of it")
        if not 0 <= self.memory <= MOST_MEMORY:
            raise WrongUsage("No computer has so much memory.")
        if not (0 <= self.retries <= 100 and 1 <= self.cores <= 1024 and (self.timeout is None or self.timeout > 0)):
            raise WrongUsage("Retries, cores or the time-out are out of bounds.")
        if self.into is not None:
            RemotePath.parse(self.into)
        if self.environment is not None:
            self.environment.check()
        for each in self.inputs:
            if each.kind == "remote" and RemotePath.parse(each.text).path.name != each.name:
                raise WrongUsage("An input's name is not that of its file.")
            if each.kind != "value" and len(each.uploaded.parts) < 2:
                raise WrongUsage("An input file has no name.")


class Job(msgspec.Struct, frozen=True):
    """A job as people see it."""

    job: int
    state: State
    command: str
    person: str
    share: str  # its own folder
    into: str
    on: str
    total: int = 0
    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    computers: tuple[str, ...] = ()  # that run tasks of it, or have
    notes: tuple[str, ...] = ()
    created: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None


class Attempt(msgspec.Struct, frozen=True):
    """One of a task that was not its last: at which computer, and why it ended. The first has number 1."""

    number: int
    computer: str = ""
    why: str = ""
    started: datetime | None = None
    ended: datetime | None = None


class Task(msgspec.Struct, frozen=True):
    """One task as people see it. `exit` is None while it has not ended by itself; `problem` says why it could not.

    `tries` counts how often it was begun; all but the one that the rest speaks of are `earlier` (the last hundred).
    """

    job: int
    task: int
    state: State
    input: str = ""
    computer: str = ""
    exit: int | None = None
    output: str = ""
    error: str = ""
    problem: str = ""
    outputs: tuple[str, ...] = ()  # remote paths
    started: datetime | None = None
    ended: datetime | None = None
    tries: int = 0
    earlier: tuple[Attempt, ...] = ()


class Forgotten(msgspec.Struct, frozen=True):
    """A job of which nothing is kept any more, and what lay in its folder."""

    job: int
    files: int
    bytes: int


class Plan(msgspec.Struct, frozen=True):
    """What a task would be; no job has it yet."""

    task: int
    input: str
    kind: Literal["remote", "local", "value", "none"]
    command: str  # as a shell would take it
    into: str  # where its new files would go; empty: below the job's own folder
    environment: str = ""  # the digest of that which travels along


class Outcome(msgspec.Struct, frozen=True):
    """What a task reports when it has ended. From a stranger's process: checked as it is parsed."""

    exit: int | None = None
    output: str = ""
    error: str = ""
    problem: str = ""
    trouble: Literal["", "unreachable", "refused"] = ""  # what kept it from its files, if that was it
    outputs: tuple[str, ...] = ()
    computer: str = ""
    seconds: float = 0.0


def why_ended(outcome: Outcome) -> str:
    """What is kept of a try that failed."""
    return outcome.problem or f"exit status {outcome.exit}"


PLACEHOLDER = re.compile(r"\{(|\.|/|//|/\.|#)\}")


def takes_input(command: str | Sequence[str]) -> bool:
    """Whether one of the placeholders of an input stands in the command."""
    words = (command,) if isinstance(command, str) else command
    return any(found != "#" for word in words for found in PLACEHOLDER.findall(word))


def words_for(command: str | tuple[str, ...], given: Input | None, number: int = 1) -> tuple[str, ...]:
    """The words to run for one input, as GNU parallel fills them in; `number` is the task's.

    >>> words_for("convert {} {.}.png", Input("value", "a b.jpg"))
    ('sh', '-c', "convert 'a b.jpg' 'a b'.png")
    >>> words_for(("echo",), Input("value", "x"))
    ('echo', 'x')
    """
    shell = isinstance(command, str)
    words = (command,) if isinstance(command, str) else command
    if given is None:
        words = tuple(word.replace("{#}", str(number)) for word in words)
    else:
        forms = {key: shlex.quote(form) if shell else form for key, form in _forms(given).items()}
        forms["#"] = str(number)
        if not any(PLACEHOLDER.search(word) for word in words):
            words = (f"{words[0]} {forms['']}",) if shell else (*words, forms[""])
        else:
            # One pass, so that a value that looks like a placeholder stays what it is.
            words = tuple(PLACEHOLDER.sub(lambda found: forms[found[1]], word) for word in words)
    return ("sh", "-c", *words) if shell else words


def _forms(given: Input) -> dict[str, str]:
    """Its forms: whole, without extension, last component, that without extension, the folder that it is in."""
    whole = given.text if given.kind == "value" else given.name
    above, slash, last = whole.rstrip("/").rpartition("/")
    if given.kind != "value" and whole.startswith("-"):
        whole, last = f"./{whole}", f"./{last}"  # no file's name is an option
    return {"": whole, ".": _stem(whole), "/": last, "/.": _stem(last), "//": above or slash or "."}


def _stem(text: str) -> str:
    folder, slash, name = text.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return folder + slash + (stem if dot and stem else name)


def file_inputs(files: Sequence[Found]) -> list[Input]:
    """Inputs from (kind, text, components of the whole path, how many of them are the folder that was named).

    Each has its folder below what all that was named has in common. For a remote file the components begin with
    computer and share. Local and remote ones are compared among themselves.
    """
    common = {kind: _common({parts[:top] for k, _, parts, top in files if k == kind}) for kind in ("remote", "local")}
    return [Input(kind, text, parts[-1], "/".join(parts[common[kind] : -1])) for kind, text, parts, _ in files]


def _common(folders: set[tuple[str, ...]]) -> int:
    """How many leading components all folders share."""
    if not folders:
        return 0
    first, last = min(folders), max(folders)
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return shared


def planned(spec: JobSpec, given: Input | None, number: int) -> Plan:
    """That task of the job, as it would be."""
    words = words_for(spec.command, given, number)
    line = words[-1] if isinstance(spec.command, str) else shlex.join(words)
    into = "/".join(each for each in (spec.into or "", given.reldir if given else "") if each)
    environment = spec.environment.digest if spec.environment is not None else ""
    return Plan(number, given.text if given else "", given.kind if given else "none", line, into, environment)


def relative(path: str) -> tuple[str, ...]:
    """The components of a path that a guest named below its folder; raises WrongUsage for a hostile one."""
    return SharePath.parse(path).parts


def key_of(job: int, task: int, turn: int) -> str:
    """What a task is called in a session: anew each time that it is handed out, so that no old word is taken for new.

    >>> parts_of(key_of(7, 12, 3))
    (7, 12, 3)
    """
    return f"{job}-{task}-{turn}"


def parts_of(key: str) -> tuple[int, int, int]:
    """Job, task and turn; raises ValueError for what is no key."""
    job, task, turn = key.split("-")
    return int(job), int(task), int(turn)


def verdict(failed: int) -> State:
    """How a job ended whose tasks have all ended."""
    return State.FAILED if failed else State.DONE


def no_lender(reasons: Sequence[str]) -> CommonholdError:
    """Why a job cannot run at all: each lender that was asked has said why not."""
    sentence = f"There is no computer to run this on. {' '.join(reasons)}".strip()
    by_rules = not reasons or any(" may not " in reason for reason in reasons)
    return Refused(sentence, "commonhold explain PERSON run COMPUTER:compute" if by_rules else "")
