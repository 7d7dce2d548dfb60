"""The inputs of `run` as they are typed: behind `:::`, in a file behind `::::`, or on standard input."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from commonhold.errors import NotFound, WrongUsage

WORDS, FILE = ":::", "::::"
MOST_BYTES = 64 * 2**20  # of a list


class Typed(NamedTuple):
    """A line for the shell, or a program with arguments; the inputs, or the file that lists them (`-`: here)."""

    command: str | list[str]
    inputs: list[str]
    list: str | None = None

    @property
    def named(self) -> bool:
        """Whether inputs were named at all."""
        return bool(self.inputs) or self.list is not None


def divided(words: Sequence[str]) -> Typed:
    """One word before `:::` is a line for the shell, several are a program with arguments.

    >>> divided(["wc -l < {}", ":::", "a", "b"])
    Typed(command='wc -l < {}', inputs=['a', 'b'], list=None)
    >>> divided(["uname", "-a"])
    Typed(command=['uname', '-a'], inputs=[], list=None)
    >>> divided(["gzip", "::::", "files.txt"]).list
    'files.txt'
    """
    here = _division(words)
    line, rest = list(words[:here]), list(words[here + 1 :])
    if not any(word.strip() for word in line):
        raise WrongUsage("There is no command before the inputs.", "commonhold run COMMAND ::: INPUT...")
    command = line[0] if len(line) == 1 else line
    if here == len(words):
        return Typed(command, [])
    if again := next((word for word in rest if word in {WORDS, FILE}), ""):
        hint = "name all inputs behind one; combinations are made by a list: each line is one input"
        raise WrongUsage(f"“{words[here]}” or “{FILE}” stands once, and “{again}” is one more.", hint)
    if not rest:
        # A pattern that the shell expanded to nothing must not run the command once on nothing.
        raise WrongUsage(f"“{words[here]}” is there, but no input follows it.", "leave it out to run the command once")
    if words[here] == WORDS:
        return Typed(command, rest)
    if len(rest) > 1:
        raise WrongUsage(f"One file follows “{FILE}”: a list of inputs.", f"cat {' '.join(rest)} | … :::: -")
    return Typed(command, [], rest[0])


def require_in_front(words: Sequence[str], options: Collection[str]) -> None:
    """Raise WrongUsage for options of `run` that stand where they are words of the command, or inputs, by mistake.

    A line for the shell is one word: what follows it is meant for `run`, unless it is a program with a blank in its
    name. Behind `:::` an option's name is no likely value; who means it puts it into a list.
    """
    here = _division(words)
    line, inputs = words[:here], words[here + 1 :] if WORDS in words[here : here + 1] else ()
    is_line = bool(line) and any(each.isspace() for each in line[0])
    for behind, where in ((line[1:2] if is_line else (), "the command"), (inputs, f"“{WORDS}”")):
        stray = next((name for word in behind if (name := word.partition("=")[0]) in options), "")
        if stray:
            hint = f"options stand before the command: commonhold run {stray} … COMMAND ::: INPUT…"
            raise WrongUsage(f"“{stray}” stands behind {where}, and is no option there.", hint)


def _division(words: Sequence[str]) -> int:
    """Where the inputs begin."""
    return next((place for place, word in enumerate(words) if word in {WORDS, FILE}), len(words))


def listed(file: str, null: bool = False) -> list[str]:
    """The inputs in a list, one on a line, or with `null` ended by NUL; empty ones are none. `-` is standard input."""
    if file == "-":
        data = _read(sys.stdin.buffer)
    else:
        try:
            with Path(file).expanduser().open("rb") as opened:
                data = _read(opened)
        except OSError as error:
            raise NotFound(
                f"The list {file} cannot be read: {error.strerror}.", "name a file, one input a line"
            ) from error
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise WrongUsage("The list of inputs is no text in UTF-8.", "rename the files that have such names") from error
    found = [each for each in (text.split("\0") if null else (line.rstrip("\r") for line in text.split("\n"))) if each]
    if not found:
        whence = "Standard input" if file == "-" else f"The list {file}"
        raise WrongUsage(f"{whence} names no input.", "to run a command once without, give it < /dev/null")
    if not null and "\0" in text:
        raise WrongUsage("The list of inputs holds NUL characters.", "run -0 takes names that end with NUL")
    return found


def _read(stream: BinaryIO) -> bytes:
    data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise WrongUsage("The list of inputs is too long.", "make several jobs of it")
    return data


def piped() -> bool:
    """Whether standard input is a pipe or a file. A terminal, /dev/null and what services get are not."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)
