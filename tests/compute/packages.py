"""Tiny packages, made on the spot: no test needs an index."""

from __future__ import annotations

import hashlib
import platform
import sys
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from commonhold.compute.environment import Environment, Wheel

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    files: Mapping[str, str | bytes] | None = None,
    scripts: Mapping[str, str] | None = None,
    requires: tuple[str, ...] = (),
    tag: str = "py3-none-any",
    **odd: str | bytes,
) -> Path:
    """A real wheel. `files` by their paths, else a module that knows its version; `odd` is in it, and not listed."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{name}-{version}.dist-info"
    words = dict(files or {f"{name}.py": f"version = {version!r}\n"})
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    words[f"{about}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
    words[f"{about}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n"
    if scripts:
        lines = "".join(f"{key} = {value}\n" for key, value in scripts.items())
        words[f"{about}/entry_points.txt"] = f"[console_scripts]\n{lines}"
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in {**words, **odd}.items():
            archive.writestr(key, value)
        record = "".join(f"{key},sha256={_digest(value)},{len(_bytes(value))}\n" for key, value in words.items())
        archive.writestr(f"{about}/RECORD", f"{record}{about}/RECORD,,\n")
    return path


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _digest(value: str | bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(_bytes(value)).digest()).rstrip(b"=").decode()


def environment(*wheels: Path, python: str = PYTHON) -> Environment:
    """Of these files."""
    found = (Wheel(each.name, hashlib.sha256(each.read_bytes()).hexdigest(), each.stat().st_size) for each in wheels)
    return Environment(python, platform.machine(), tuple(found))
