"""davfs2 makes a share a folder: a source tree is unpacked and compiled on it, and lies there byte by byte."""

from __future__ import annotations

import compileall
import os
import shutil
import ssl
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psutil
import pytest

from ..conftest import until
from .conftest import PASSWORD, Drive, needs

FUSE = Path("/dev/fuse")

pytestmark = [
    needs("mount.davfs", "davfs2"),
    pytest.mark.skipif(not os.access(FUSE, os.R_OK | os.W_OK), reason="there is no /dev/fuse that this user may open"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount"),
]


@pytest.fixture
def ground() -> Iterator[Path]:
    """A folder that davfs2 may enter, too: it serves as a user of its own."""
    with tempfile.TemporaryDirectory(prefix="commonhold-davfs-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@contextmanager
def mounted(drive: Drive, folder: Path) -> Iterator[Path]:
    """The share as a folder of the system; afterwards all is uploaded, nothing is mounted, and no process runs."""
    at, cache = folder / "mounted", folder / "cache"
    at.mkdir()
    cache.mkdir()
    shutil.chown(cache, "root", "davfs2")
    cache.chmod(0o775)
    secrets, settings, trusted = folder / "secrets", folder / "davfs2.conf", folder / "server.pem"
    secrets.touch(mode=0o600)
    secrets.write_text(f'{drive.url} bob "{PASSWORD}"\n')
    trusted.write_text(_certificate(drive))
    words = {"secrets": secrets, "trust_server_cert": trusted, "cache_dir": cache, "buf_size": 64, "delay_upload": 0}
    settings.write_text("".join(f"{name} {value}\n" for name, value in words.items()) + "use_locks 1\ngui_optimize 1\n")
    done = subprocess.run(
        ["mount.davfs", drive.url, str(at), "-o", f"conf={settings},uid=0"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if "Operation not permitted" in done.stderr:
        pytest.skip(f"this machine lets nobody mount: {done.stderr}")
    assert os.path.ismount(at), done.stdout + done.stderr
    ours = [each for each in psutil.process_iter() if drive.url in _words(each)]
    assert ours, "the process that serves the folder"
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], capture_output=True, timeout=90, check=True)
        until(lambda: not any(each.is_running() for each in ours), "davfs2 has uploaded everything and ended")
    assert not os.path.ismount(at)


def _certificate(drive: Drive) -> str:
    host, _, port = drive.computer.address.rpartition(":")
    return ssl.get_server_certificate((host, int(port)))


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_source_tree_is_unpacked_and_compiled_on_a_mounted_share(drive, tmp_path, ground):
    source = tmp_path / "click"
    shutil.copytree(Path(click.__file__).parent, source, ignore=shutil.ignore_patterns("__pycache__"))
    with tarfile.open(tmp_path / "click.tar", "w") as archive:
        archive.add(source, "click")
    with mounted(drive, ground) as at:
        with tarfile.open(tmp_path / "click.tar") as archive:
            archive.extractall(at, filter="data")
        assert compileall.compile_dir(at / "click", quiet=1, workers=1)
        (at / "click" / "core.py").rename(at / "click" / "kernel.py")
        (at / "click" / "types.py").unlink()
        shutil.copytree(at / "click" / "__pycache__", tmp_path / "compiled")
        assert {each.name for each in at.iterdir()} - {"lost+found"} == {"click"}
    expected = {f"click/{each.name}": each.read_bytes() for each in source.iterdir() if each.is_file()}
    expected |= {f"click/__pycache__/{each.name}": each.read_bytes() for each in (tmp_path / "compiled").iterdir()}
    expected["click/kernel.py"] = expected.pop("click/core.py")
    del expected["click/types.py"]
    assert drive.files() == expected
