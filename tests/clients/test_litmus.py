"""litmus, the WebDAV world's own suite of tests, passes whole: with a password at a server, by certificate at a peer.

litmus 0.13 takes any server's certificate. One of its tests, expect100, it does over plain HTTP only: for that
one a forwarder stands between.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from .conftest import PASSWORD, needs, pkcs12_of, without_tls

SUITES = ("basic", "copymove", "props", "locks", "http")
OVER_TLS_ONLY = "skipping for SSL server"
LINE = re.compile(r"^ ?\d+\. (\w+)\.+ (.*)")
TOLD = 4000  # characters of litmus's own trace that a failure shows

pytestmark = needs("litmus")


def passes(suite: str, folder: Path, *words: str) -> None:
    """Every test of the suite passes, without a warning; if not, litmus's own trace of the first is told."""
    environment = {**os.environ, "TESTS": suite}
    ran = subprocess.run(
        ["litmus", *words], capture_output=True, text=True, timeout=60, check=False, cwd=folder, env=environment
    )
    lines = re.split(r"[\r\n]+", ran.stdout)
    assert f"<- summary for `{suite}'" in ran.stdout, ran.stdout + ran.stderr
    bad = [line for line in lines if re.search(r"WARNING|FAIL|SKIPPED", line)]
    if failed := next((match[1] for line in bad if (match := LINE.match(line)) and "FAIL" in match[2]), None):
        trace = (folder / "debug.log").read_text(errors="replace")
        bad.append(re.split(r"\*+ Running test \d+: ", trace.partition(f": {failed} ***")[2])[0][-TOLD:])
    if bad := [line for line in bad if OVER_TLS_ONLY not in line]:
        pytest.fail("\n".join(bad), pytrace=False)


@pytest.mark.parametrize("suite", SUITES)
def test_with_a_password_at_a_server(drive, suite, tmp_path):
    passes(suite, tmp_path, drive.url, "bob", PASSWORD)


@pytest.mark.parametrize("suite", SUITES)
def test_by_certificate_at_a_peer(peers, peer_drive, suite, tmp_path):
    shown = pkcs12_of(peers[1], tmp_path / "laptop.p12", PASSWORD)
    # The password opens the file: a peer asks for none.
    passes(suite, tmp_path, "-c", str(shown), peer_drive.url, "bob", PASSWORD)


def test_what_litmus_tries_over_plain_http_only(drive, tmp_path):
    with without_tls(drive.computer) as address:
        passes("http", tmp_path, f"{address}/dav/{drive.share}/", "bob", PASSWORD)
