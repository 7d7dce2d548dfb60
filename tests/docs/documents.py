"""The documents, and what they are held against."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^>]*) -->\n)?^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A fenced block; `mark` is the comment on the line before it."""

    language: str
    text: str
    mark: str
    line: int  # of its first line, counted from 1


def blocks(document: Path) -> list[Block]:
    text = document.read_text()
    return [
        Block(found["language"], found["text"], found["mark"] or "", text.count("\n", 0, found.start("text")) + 1)
        for found in _BLOCK.finditer(text)
    ]


def free_address(number: int) -> str:
    """A port that is free now, at an address of its own on loopback: nodes on one machine need one each."""
    with socket.socket() as trial:
        trial.bind((f"127.0.43.{number}", 0))
        return f"127.0.43.{number}:{trial.getsockname()[1]}"
