"""`invite` on a terminal: the picture, the question, and every way to answer it."""

from __future__ import annotations

import os
import pty
import re
import select
import threading
import time

import pytest

from commonhold.errors import CommonholdError
from commonhold.home import Home
from commonhold.node import founding

from ..conftest import town, until


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    with town(tmp_path_factory.mktemp("tower")) as make:
        made = make("tower", "ann")
        made.create("casa")
        yield made


class Screen:
    """A terminal on which `invite` runs."""

    def __init__(self, tower, *words):
        self.drawn = ""
        self.pid, self._screen = pty.fork()
        if self.pid == 0:
            line = tower.words("invite", *words)
            os.execve(line[0], line, {**os.environ, "COLUMNS": "200"})  # noqa: S606

    def shows(self, text, seconds=40):
        deadline = time.monotonic() + seconds
        while not (found := re.search(text, self.drawn)):
            assert time.monotonic() < deadline, f"{text!r} is not in {self.drawn}"
            ready, _, _ = select.select([self._screen], [], [], 0.2)
            if ready:
                try:
                    self.drawn += os.read(self._screen, 65536).decode(errors="replace")
                except OSError:
                    assert re.search(text, self.drawn), self.drawn
        return found

    def types(self, text):
        os.write(self._screen, text.encode())

    def ends(self):
        _, status = os.waitpid(self.pid, 0)
        os.close(self._screen)
        return os.waitstatus_to_exitcode(status)


class Coming(threading.Thread):
    """A newcomer in a thread, and what came of it."""

    def __init__(self, folder, where, name):
        super().__init__(daemon=True)
        self.words = Home(folder / name), where, f"{name}-owner", name
        self.outcome = None
        self.start()

    def run(self):
        try:
            self.outcome = founding.join(*self.words)
        except CommonholdError as error:
            self.outcome = error

    def result(self):
        self.join(40)
        return self.outcome


def test_a_yes_admits_who_was_shown(tower, tmp_path):
    screen = Screen(tower)
    where = screen.shows(r"commonhold join (\S+@\S+)\r")[1]
    screen.shows("[▀▄█]{10}")
    screen.shows("Waiting for the other computer")
    laptop = Coming(tmp_path, where, "laptop")
    words = screen.shows(r"laptop, of laptop-owner, who is new here, asks to join from 127\.0\.0\.\d+\. Its key: (\S+)")
    screen.shows(r"Admit laptop\? A no ends the code\. \[y/n\]")
    assert "laptop" not in {member.computer for member in tower.net.members()}
    screen.types("perhaps\n")
    screen.shows("Please type y or n")
    screen.types("y\n")
    screen.shows("laptop of laptop-owner is admitted")
    assert screen.ends() == 0
    assert laptop.result().computer == "laptop"
    assert {member.words for member in tower.net.members() if member.computer == "laptop"} == {words[1]}


def test_a_no_and_ctrl_c_end_the_code(tower, tmp_path):
    for keys, code in (("n\n", 4), ("\x03", 130)):
        screen = Screen(tower)
        name = f"desk{code}"
        desk = Coming(tmp_path, screen.shows(r"commonhold join (\S+@\S+)\r")[1], name)
        screen.shows(f"Admit {name}")
        screen.types(keys)
        screen.shows("commonhold: ")
        assert screen.ends() == code, screen.drawn
        assert isinstance(desk.result(), CommonholdError)
        until(lambda: tower.net.status().invitations == (), "the code is withdrawn")
        assert name not in {member.computer for member in tower.net.members()}


def test_wrong_codes_are_told_as_they_come_and_burn_it(tower, tmp_path):
    screen = Screen(tower)
    code, _, address = screen.shows(r"commonhold join (\S+@\S+)\r")[1].partition("@")
    wrong = f"{code.partition('-')[0]}-zoo-zebra@{address}"
    for count in range(1, 4):
        Coming(tmp_path, wrong, f"guess{count}").result()
        screen.shows(rf"{count} wrong codes? came from 127\.0\.0\.\d+; ")
    screen.shows("The code is burnt: its tries were used up.")
    assert screen.ends() == 4
    assert len(tower.net.invite().code.split("-")) == 4, "a number and three words"


def test_with_yes_or_json_or_without_a_terminal_it_returns_at_once(tower):
    screen = Screen(tower, "--yes")
    screen.shows("ends at")
    assert screen.ends() == 0
    number = tower.json("invite")["number"]
    assert "Waiting" not in tower.typed("invite").err
    assert f"number {number} is withdrawn" in tower.typed("invite", "--withdraw", number).out
    assert tower.typed("invite", "--withdraw", number, code=3).hint == "commonhold status"
    assert all(not each.asks for each in tower.net.status().invitations)
