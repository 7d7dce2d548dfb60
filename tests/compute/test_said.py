"""What running tasks say is heard whole and once: piece by piece, and the rest when they have ended."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.compute.conftest import ANN, Computer, Town
from tests.compute.test_jobs import values

from commonhold.authority.authority import Verb
from commonhold.compute.hub.cluster import Cluster
from commonhold.compute.hub.following import AT_ONCE, Following
from commonhold.compute.job import KEPT_OUTPUT, State, Task
from commonhold.compute.said import (
    HALF,
    LEAST_PIECE,
    MOST_PIECES,
    MOST_SAID,
    Ear,
    Listening,
    Piece,
    Said,
    decoded,
    shortened,
    window,
    within_bounds,
)
from commonhold.compute.sandboxed.printed import Printout
from commonhold.compute.sandboxed.task import Launched, RunningCommand
from commonhold.errors import NotFound, WrongUsage
from commonhold.wire import from_json, to_json

KEY = "7-1-1"


def kept(data: bytes) -> str:
    """What stays of a task's text when it has ended."""
    with tempfile.TemporaryDirectory() as folder, Printout(Path(folder)) as printout:
        os.write(printout.fileno(), data)
        return printout.text()


# One stream, piece by piece


@given(st.text(max_size=300), st.lists(st.integers(1, 40), max_size=30))
@example("é" * 50, [1] * 30)
def test_what_is_read_piece_by_piece_and_the_rest_are_the_whole_text(text, sizes):
    data, ear, heard = text.encode(), Ear(), ""
    for size in sizes:
        piece_text, length = decoded(data[ear.place : ear.place + size])
        piece = Piece(KEY, 1, "output", ear.place, ear.place + length, piece_text)
        heard += ear.take(piece)[0]
    rest, left_out = ear.rest(kept(data))
    assert (heard + rest, left_out) == (text, 0)


@given(st.binary(max_size=200), st.integers(1, 9))
def test_bytes_that_are_no_text_are_told_as_they_are_kept(data, size):
    ear, heard = Ear(), ""
    while ear.place < len(data):
        text, length = decoded(data[ear.place : ear.place + size])
        if not length:
            break  # a character that never ends: the rest has it
        heard += ear.take(Piece(KEY, 1, "output", ear.place, ear.place + length, text))[0]
    assert heard + ear.rest(kept(data))[0] == data.decode(errors="replace")


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(1, 10**6))
def test_who_is_far_behind_hears_the_end_and_nobody_reads_more_than_is_there(known, size, most):
    at, count = window(known, size, most)
    if size <= known:
        assert count <= 0
        return
    assert known <= at < at + count <= size
    assert count <= min(most, HALF)
    assert at == known or at + count == size


def test_after_a_gap_the_rest_is_what_follows_in_the_tail_that_is_kept():
    data = b"".join(b"line %06d\n" % number for number in range(20_000))
    told, ear = kept(data), Ear()
    begin = len(data) - HALF - 48
    begin -= begin % 12
    assert ear.take(Piece(KEY, 1, "output", begin, begin + 240, data[begin : begin + 240].decode()))[1] == begin
    assert ear.rest(told) == (data[begin + 240 :].decode(), 0)


def test_who_heard_the_beginning_only_is_told_how_much_is_missing():
    data = b"x" * (4 * KEPT_OUTPUT)
    ear = Ear()
    ear.take(Piece(KEY, 1, "output", 0, KEPT_OUTPUT, "x" * KEPT_OUTPUT))
    assert ear.rest(kept(data)) == ("x" * HALF, 3 * KEPT_OUTPUT - HALF)


def test_a_task_that_speaks_of_left_out_bytes_itself_misleads_nobody():
    text = f"{'x' * 20_000}\n… 12 bytes left out …\n{'y' * 40_000}"
    ear = Ear()
    ear.take(Piece(KEY, 1, "output", 0, 30_000, text[:29_994]))
    assert ear.rest(text) == (text[29_994:], 0)
    told = shortened(text.encode()[:HALF], 100, text.encode()[-HALF:])
    assert ear.rest(told)[0].endswith(text[-HALF:])


def test_what_was_heard_already_is_not_heard_twice():
    ear = Ear()
    ear.take(Piece(KEY, 1, "output", 0, 4, "abcd"))
    for at, to in ((0, 4), (2, 6), (4, 4), (-1, 3)):
        assert ear.take(Piece(KEY, 1, "output", at, to, "abcd")) == ("", 0)


@pytest.mark.parametrize(
    "pieces",
    [
        [Piece(KEY, 1, "output", 0, 1, "x")] * (MOST_PIECES + 1),
        [Piece(KEY, 1, "output", 0, 1, "x" * (MOST_SAID + LEAST_PIECE + 1))],
    ],
)
def test_a_stranger_says_no_more_than_was_asked_for(pieces):
    with pytest.raises(WrongUsage):
        within_bounds(from_json(to_json(pieces), list))


# A process that runs tasks


@contextmanager
def commands(folder: Path, *keys: str) -> Iterator[tuple[Launched, dict[str, tuple[Printout, Printout]]]]:
    """Commands that run, and where each prints."""
    launched, printed = Launched(), {}
    with ExitStack() as ending:
        for key in keys:
            process = subprocess.Popen(["sleep", "600"], process_group=0)
            printed[key] = (ending.enter_context(Printout(folder)), ending.enter_context(Printout(folder)))
            ending.enter_context(launched.started(key, RunningCommand(process, printed[key])))
        yield launched, printed


def test_what_running_commands_print_is_read_where_they_do_not_notice(tmp_path: Path):
    with commands(tmp_path, "7-1-1", "7-2-1") as (launched, printed):
        (output, error), (other, _) = printed.values()
        for file, text in ((output, b"one\n"), (error, b"oops\n"), (other, b"two\n")):
            os.write(file.fileno(), text)
        said = launched.said(7, Listening())
        assert {(piece.key, piece.stream, piece.text) for piece in said} == {
            ("7-1-1", "output", "one\n"),
            ("7-1-1", "error", "oops\n"),
            ("7-2-1", "output", "two\n"),
        }
        os.write(output.fileno(), b"more\n")
        place = (said[0].run, 4, 5)
        [more] = launched.said(7, Listening({"7-1-1": place}, task=1))
        assert (more.at, more.text) == (4, "more\n")
        assert launched.said(8, Listening()) == []
        assert output.text() == "one\nmore\n"
    assert launched.said(7, Listening()) == []


def test_a_command_that_is_begun_anew_is_heard_from_its_beginning(tmp_path: Path):
    with commands(tmp_path, KEY) as (launched, printed):
        os.write(printed[KEY][0].fileno(), b"first try\n")
        [piece] = launched.said(7, Listening())
    with commands(tmp_path, KEY) as (launched, printed):
        os.write(printed[KEY][0].fileno(), b"second, longer try\n")
        [again] = launched.said(7, Listening({KEY: (piece.run, piece.to, 0)}))
        assert (again.at, again.text) == (0, "second, longer try\n")


def test_however_much_is_said_an_answer_is_bounded_and_begins_with_a_line(tmp_path: Path):
    with commands(tmp_path, "7-1-1", "7-2-1") as (launched, printed):
        for file in (*printed["7-1-1"], printed["7-2-1"][0]):
            os.write(file.fileno(), b"a line of forty bytes, as many as it has\n" * 20_000)
        said = launched.said(7, Listening())
        assert len(said) == 3
        for piece in said:
            assert len(piece.text) <= HALF
            assert piece.text.startswith("a line")


def test_what_was_shortened_meanwhile_keeps_its_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("commonhold.compute.sandboxed.printed.LARGEST", 100)
    with commands(tmp_path, KEY) as (launched, printed):
        output, ear = printed[KEY][0], Ear()
        texts = [f"{number:09}\n" for number in range(40)]
        heard, run = "", 0
        for place, text in enumerate(texts):
            os.write(output.fileno(), text.encode())
            for piece in launched.said(7, Listening({KEY: (run, ear.place, 0)})):
                run = piece.run
                heard += ear.take(piece)[0]
            if place % 7 == 6:
                output.shorten()
        assert heard == "".join(texts)
        assert output.text().startswith(texts[0])


# From a lender to who follows


async def heard(cluster: Cluster, job: int, task: int = 0) -> tuple[list[Said], list[Task]]:
    said, ended = [], []
    async for group in Following(job, task, cluster).told():
        for told in group:
            said += [told.said] if told.said else []
            ended += [told.task] if told.task else []
    return said, ended


async def test_tasks_are_heard_while_they_run_on_another_computer(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    laptop.allow(ANN, Verb.RUN)
    job = await tower.begin(
        "echo begun {}; while ! test -e go; do sleep 0.05; done", inputs=values("a", "b"), on="laptop"
    )
    following, said = Following(job, 0, tower.cluster).told(), []
    async with asyncio.timeout(30):
        while len(said) < 2:
            said += [told.said for told in await anext(following) if told.said]
    assert {(each.input, each.computer, each.text) for each in said} == {
        ("a", "laptop", "begun a\n"),
        ("b", "laptop", "begun b\n"),
    }
    assert tower.journal.job(job).running == 2
    await following.aclose()
    await tower.cluster.cancel(job)


async def test_nobody_is_asked_what_is_said_while_nobody_follows(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    laptop.allow(ANN, Verb.RUN)
    await tower.run("echo x; sleep 1", on="laptop")
    assert not [asked for asked in laptop.heard if asked.endswith("/said")]
    job = await tower.begin("echo x; sleep 1", on="laptop")
    await heard(tower.cluster, job)
    assert [asked for asked in laptop.heard if asked.endswith("/said")]


async def test_all_that_tasks_said_is_heard_once_whether_they_ended_before_or_not(warm: Computer):
    job = await warm.begin("seq 400; sleep 0.{#}; seq 401 800; echo end >&2", inputs=values(*"abcdef"))
    said, ended = await heard(warm.cluster, job)
    late, _ = await heard(warm.cluster, job)
    right = "".join(f"{number}\n" for number in range(1, 801))
    for told in (said, late):
        for task in range(1, 7):
            texts = {
                stream: "".join(s.text for s in told if (s.task, s.stream) == (task, stream))
                for stream in ("output", "error")
            }
            assert texts == {"output": right, "error": "end\n"}
    assert sorted(task.task for task in ended) == [1, 2, 3, 4, 5, 6]
    assert {(task.state, task.output) for task in ended} == {(State.DONE, "")}


async def test_one_task_is_followed_to_its_own_end_and_not_to_that_of_the_job(warm: Computer):
    job = await warm.begin("echo {}; sleep {}", inputs=values("0.1", "600"))
    async with asyncio.timeout(30):
        said, ended = await heard(warm.cluster, job, 1)
    assert ([each.text for each in said], [task.task for task in ended]) == (["0.1\n"], [1])
    assert warm.journal.job(job).ended is None
    with pytest.raises(NotFound):
        await heard(warm.cluster, job, 3)
    await warm.cluster.cancel(job)


async def test_who_floods_is_heard_in_part_and_told_so(warm: Computer):
    job = await warm.begin("yes 'a line that says nothing' | head -c 40000000; sleep 1; echo the end")
    said, _ = await heard(warm.cluster, job)
    text = "".join(each.text for each in said)
    assert text.endswith("the end\n")
    assert len(text) < 2_000_000
    assert len(text) + sum(each.left_out for each in said) == 40_000_000 + len("the end\n")


async def test_a_task_that_was_lost_is_heard_again_where_it_runs_again(warm: Computer):
    job = await warm.begin("echo here; sleep 3")
    following, told = Following(job, 0, warm.cluster).told(), []
    async for group in following:
        told += group
        if len([each for each in told if each.said]) == 1 and not warm.journal.job(job).notes:
            warm.worker().kill()
            await asyncio.sleep(0.5)
    assert [each.said.text for each in told if each.said] == ["here\n", "here\n"]
    assert [each.task.state for each in told if each.task] == [State.WAITING, State.DONE]
    assert told[-1].job.state is State.DONE


async def test_a_job_that_is_cancelled_ends_the_following_and_says_so(warm: Computer):
    job = await warm.begin("echo here; sleep 600")
    states = []
    async with asyncio.timeout(30):
        async for group in Following(job, 0, warm.cluster).told():
            if any(told.said for told in group):
                await warm.cluster.cancel(job)
            states += [told.task.state for told in group if told.task]
    assert states == [State.CANCELLED]


async def test_a_job_of_more_tasks_than_are_in_memory_is_told_whole(warm: Computer):
    count = 3 * AT_ONCE + 1
    job = await warm.run("echo {}", inputs=values(*map(str, range(count))))
    said, ended = await heard(warm.cluster, job.job)
    assert sorted(int(each.text) for each in said) == list(range(count))
    assert [task.task for task in ended] == list(range(1, count + 1))
