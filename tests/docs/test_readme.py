"""README's commands, typed as they stand at computers of their own, print what README says.

A computer is a folder that is HOME to what is typed there: its node keeps its state at the platform's usual place in
it. Translated are only the addresses, since all computers stand on one machine here, and the code, which is drawn.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ..conftest import Ran, performed
from .documents import ROOT, blocks, free_address

README = ROOT / "README.md"
CODE = "7-orange-velvet"  # the code that README shows
TYPED = re.compile(r"(?P<computer>\w+)\$ (?P<line>.+)")
ADDRESSES = {"tower": 2, "laptop": 3}
PASSWORD = "a password that is typed\n"
FILES = {  # what lies at each computer before
    "tower": {"photos/cat.jpg": "miau\n", "photos/dog.jpg": "woof\n", "photos/2026/lake.jpg": "splash!\n"},
    "laptop": {"report.txt": "All went well.\n"},
}


class Desk:
    """Types lines at computers that have nothing but a folder and an address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.addresses = {name: free_address(number) for name, number in ADDRESSES.items()}
        self.code = CODE
        for computer, files in FILES.items():
            for name, text in files.items():
                path = folder / computer / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        (folder / "tower" / "projects").mkdir()
        (folder / "tower" / "projects" / "notes.txt").write_text("one\ntwo\n")

    def environment(self, computer: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "COMMONHOLD_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        return {**kept, "HOME": str(self.folder / computer), "PATH": path, "NO_COLOR": "1"}

    def type(self, computer: str, line: str, check: bool = True) -> str:
        """What the line prints, on either stream."""
        done = self.perform(computer, self.translated(computer, line))
        assert not check or done.code == 0, f"{computer}$ {line}\n{done.out}"
        if line.startswith("commonhold invite"):
            self.code = re.search(r"^    (\S+)$", done.out, re.MULTILINE)[1]
        return done.out.replace(self.code, CODE)

    def perform(self, computer: str, line: str) -> Ran:
        done = subprocess.run(
            ["sh", "-c", line],
            input=PASSWORD,
            cwd=self.folder / computer,
            env=self.environment(computer),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout, "")

    def translated(self, computer: str, line: str) -> str:
        if re.match(r"commonhold (create|join) ", line):
            line += f" --listen {self.addresses[computer]}"
        return line.replace(CODE, f"{self.code}@{self.addresses['tower']}")

    def close(self) -> None:
        for computer in self.addresses:
            self.type(computer, "commonhold down", check=False)


class NearDesk(Desk):
    """The shell says what the words of a command are, and this process performs it."""

    def perform(self, computer: str, line: str) -> Ran:
        if not line.startswith("commonhold "):
            return super().perform(computer, line)
        words = super().perform(computer, line.replace("commonhold", r"printf '%s\0'", 1)).out.split("\0")[:-1]
        with pytest.MonkeyPatch.context() as there:
            there.chdir(self.folder / computer)
            environment = self.environment(computer)
            for name in os.environ.keys() - environment.keys():
                there.delenv(name)
            for name, value in environment.items():
                there.setenv(name, value)
            return performed(words, PASSWORD, together=True)


@pytest.fixture
def desk(tmp_path):
    with closing(Desk(tmp_path)) as desk:
        yield desk


@pytest.fixture
def near_desk(tmp_path):
    with closing(NearDesk(tmp_path)) as desk:
        yield desk


def marked(mark):
    return [block for block in blocks(README) if block.mark == f"run: {mark}"]


PROGRESS = re.compile(r"^\d+ of \d+ (?:ended|inputs uploaded).*\n", re.MULTILINE)  # where it takes long


def follow(desk, block, check=True):
    """Type every line of a block and compare what it prints; `…` stands for lines or words left out."""
    expected: list[tuple[str, str, list[str]]] = []
    for line in block.text.splitlines():
        if typed := TYPED.fullmatch(line):
            expected.append((typed["computer"], typed["line"], []))
        else:
            expected[-1][2].append(line)
    for computer, line, shown in expected:
        printed = PROGRESS.sub("", desk.type(computer, line, check)).strip("\n")
        pattern = re.escape("\n".join(shown)).replace("…", ".*")
        assert re.fullmatch(pattern, printed, re.DOTALL), f"{computer}$ {line}\n{printed}\n— README has —\n{shown}"


def test_the_first_network_works_in_five_lines(desk):
    (block,) = marked("first-network")
    assert sum(bool(TYPED.fullmatch(line)) for line in block.text.splitlines()) == 5
    follow(desk, block)
    copied = {p.relative_to(desk.folder / "tower"): p.read_text() for p in (desk.folder / "tower/photos").rglob("*.*")}
    assert len(copied) == 3
    for path, text in copied.items():
        assert (desk.folder / "laptop" / path).read_text() == text


def test_the_network_with_a_server_its_job_and_the_lines_of_python(near_desk):
    desk = near_desk
    before, job = marked("server")
    follow(desk, before)
    assert (desk.folder / "tower/projects/report.txt").read_text() == "All went well.\n"
    follow(desk, job)
    (accounts,) = marked("accounts")
    follow(desk, accounts)
    (python,) = marked("python")
    assert len([line for line in python.text.splitlines() if line]) <= 6
    (desk.folder / "laptop" / "six.py").write_text(f"{python.text}    print(text, job.done, job.failed)\n")
    assert desk.type("laptop", "python six.py") == "['notes.txt', 'packed', 'report.txt']\nb'one\\ntwo\\n' 2 0\n"


def test_the_demo_still_tells_the_story_that_readme_shows():
    """Its acts and steps, up to the first figure, which is another machine's."""
    (block,) = [block for block in blocks(README) if "output of the demo" in block.mark]
    told = "".join(path.read_text() for path in (ROOT / "src/commonhold").glob("*/*.py"))
    for line in block.text.splitlines():
        if line.strip().startswith("verified:"):
            continue  # mostly names and figures
        sentence = re.split(r"[\d(]", line.strip("… "))[0]
        assert sentence in told, f"the demo no longer says: {line}"
