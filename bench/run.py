"""Measure this machine's Commonhold and write docs/benchmarks.md: `make bench`.

    python bench/run.py                 # everything
    python bench/run.py --only trust    # one section; the others stay as they were measured

A section is a file beside this one: its `rows() -> list[Row]` (rows.py) measures, the first line of its
docstring is its heading, and what has to be known to read it is in `notes() -> str`, if there is one.
Real nodes as real processes on loopback; medians of several runs; what is compared is compared in the
same run. Nothing here is asserted: a figure is a figure.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import shutil
from datetime import UTC, datetime
from pathlib import Path

import psutil

from commonhold import __version__

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "benchmarks.md"
NO_SECTION = frozenset({"run", "rows", "peers", "clients", "rivals", "owned"})
HEAD = """# Benchmarks

Written by `make bench` (`python bench/run.py --only NAME` for one section). Medians where several runs are made; nodes
are real processes, TLS 1.3 on loopback, all on one machine: client, server and everything that they do share its cores.
"""


def main() -> None:
    names = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NO_SECTION)
    parser = argparse.ArgumentParser(description="Measure, and write docs/benchmarks.md.")
    parser.add_argument("--only", choices=names, action="append", metavar="SECTION", help=", ".join(names))
    chosen = parser.parse_args().only or names
    known = sections()
    for name in chosen:
        measured = section(name)
        known[name] = measured
        print(measured)  # noqa: T201 - what `make bench` is for
        write({each: known[each] for each in names if each in known})


def section(name: str) -> str:
    """One section's text, measured now."""
    module = importlib.import_module(name)
    rows = module.rows()
    notes = [module.notes(), ""] if hasattr(module, "notes") else []
    lines = [
        f"## {heading(name)}",
        "",
        f"{datetime.now(UTC):%Y-%m-%d} · {machine()}",
        "",
        *notes,
        "| what | measured | promised |",
        "|---|---|---|",
        *(f"| {what} | {measured} | {promised} |" for what, measured, promised in rows),
    ]
    return "\n".join(lines) + "\n"


def heading(name: str) -> str:
    return (importlib.import_module(name).__doc__ or name).strip().splitlines()[0].rstrip(".")


def machine() -> str:
    gigabytes = psutil.virtual_memory().total / 2**30
    sandbox = "bubblewrap" if shutil.which("bwrap") else "limits only"
    return (
        f"{os.cpu_count()} cores, {gigabytes:.0f} GiB, {platform.system()} {platform.release()} · "
        f"Commonhold {__version__}, Python {platform.python_version()}, sandbox: {sandbox}"
    )


def sections() -> dict[str, str]:
    """The sections of the document as it is, by name."""
    names = {heading(path.stem): path.stem for path in HERE.glob("*.py") if path.stem not in NO_SECTION}
    texts = DOCUMENT.read_text().split("\n## ")[1:] if DOCUMENT.exists() else []
    headed = {text.partition("\n")[0]: f"## {text.rstrip()}\n" for text in texts}
    return {names[head]: text for head, text in headed.items() if head in names}


def write(known: dict[str, str]) -> None:
    DOCUMENT.write_text("\n".join((HEAD, *known.values())))


if __name__ == "__main__":
    main()
