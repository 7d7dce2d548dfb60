"""What a sandboxed process does with the environment that came with its session: its commands and functions find it."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from pathlib import Path


def find_programs(environment: Path) -> None:
    """Commands find its `python` and its programs before all others."""
    os.environ["PATH"] = os.pathsep.join((str(environment / "bin"), os.environ.get("PATH", os.defpath)))
    os.environ["VIRTUAL_ENV"] = str(environment)


def find_modules(environment: Path) -> None:
    """Functions import from it before what the lender has.

    What this process has loaded already, Dask above all, stays as it is: half of one version and half of another
    would fit nothing.
    """
    known = len(sys.path)
    site.addsitedir(sysconfig.get_path("purelib", "venv", {"base": str(environment)}))
    sys.path[:] = sys.path[known:] + sys.path[:known]
