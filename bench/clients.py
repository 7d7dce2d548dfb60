"""The programs that ask: the same one, with the same files, for every server that is compared."""

from __future__ import annotations

import base64
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from peers import PASSWORD, USER, Served

from commonhold.demo.stage import Computer

BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
WRK_PUT = """
local number = 0
function init(args)
    prefix, body = args[1], string.rep("x", tonumber(args[2]))
end
function request()
    number = number + 1
    return wrk.format("PUT", prefix .. number, nil, body)
end
"""
# Ends wrk after the last answer; with 1 when one was no success.
WRK_TREE = """
local asked, answered, failed = 0, 0, 0
function init(args)
    requests, root = {}, args[4] .. "/"
    for name in io.lines(args[2]) do
        local body = nil
        if args[1] == "PUT" then
            local file = io.open(args[3] .. "/" .. name, "rb")
            body = file:read("*a")
            file:close()
        end
        requests[#requests + 1] = wrk.format(args[1], args[4] .. "/" .. name, nil, body)
    end
end
function request()
    asked = asked + 1
    return requests[asked] or wrk.format("OPTIONS", root)
end
function response(status)
    answered = answered + 1
    if status < 200 or status > 299 then
        failed = failed + 1
        print("status", status)
    end
    if answered == #requests then os.exit(failed > 0 and 1 or 0) end
end
"""
# What rclone asks of a folder.
LISTING = (
    '<?xml version="1.0"?><d:propfind xmlns:d="DAV:"><d:prop><d:displayname/><d:getlastmodified/>'
    "<d:getcontentlength/><d:resourcetype/><d:getcontenttype/></d:prop></d:propfind>"
)

TOGETHER = 16  # files of a tree


class Flown(NamedTuple):
    """A program's run: how long it took, and what it held at most."""

    seconds: float
    megabytes: float


def curl(server: Served, path: str, *words: str) -> float:
    """Seconds of one request. Raises RuntimeError unless it was answered with 2xx."""
    config = f'user = "{USER}:{PASSWORD}"\n'
    asked = ["curl", "-sSk", "-K", "-", "-o", os.devnull, "-w", "%{http_code}", *words, f"{server.url}/{path}"]
    began = time.perf_counter()
    answer = subprocess.run(asked, input=config, text=True, capture_output=True, check=False)
    took = time.perf_counter() - began
    if not re.fullmatch("2..", answer.stdout):
        raise RuntimeError(f"{server.name} answered {answer.stdout} {answer.stderr} to {' '.join(words)} {path}")
    return took


def propfind(server: Served, path: str) -> float:
    words = ("-X", "PROPFIND", "-H", "Depth: 1", "-H", "Content-Type: application/xml", "--data", LISTING)
    return curl(server, path, *words)


def wrk(
    server: Served, connections: int, seconds: float, path: str, script: Path | None = None, size: int = 0
) -> float:
    """Requests a second: GETs of the path or, with the script, PUTs of so many bytes to new names that begin so."""
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s", "-H", f"Authorization: {BASIC}"]
    words += ["-s", str(script)] if script else []
    words += [f"{server.url}/{path}"]
    if script:
        words += ["--", f"{_root(server)}/{path}", str(size)]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    if wrong := re.search(r"Non-2xx.*|Socket errors.*", said):
        raise RuntimeError(f"{server.name}: {wrong[0]}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])  # type: ignore[index]


def each_once(server: Served, method: str, names: Path, tree: Path, path: str) -> float:
    """Seconds for all files of a tree, whose names stand in a file, up from there or down into nowhere."""
    script = names.with_suffix(".lua")
    script.write_text(WRK_TREE)
    words = ["wrk", "-t1", f"-c{TOGETHER}", "-d100s", "--timeout", "10s", "-H", f"Authorization: {BASIC}"]
    words += ["-s", str(script), server.url, "--", method, str(names), str(tree), f"{_root(server)}/{path}"]
    return _timed(words, {}).seconds


def _root(server: Served) -> str:
    return "/" + server.url.split("/", 3)[3] if server.url.count("/") > 2 else ""


def own(computer: Computer, *words: str) -> Flown:
    """Our own command, as its person types it: digests checked, all that is acknowledged durable."""
    return _timed([sys.executable, "-m", "commonhold", *words], {"COMMONHOLD_HOME": str(computer.home.folder)})


def smbclient(server: Served, *commands: str) -> float:
    words = ["smbclient", *shlex.split(server.url), "-U", f"root%{PASSWORD}", "--client-protection=encrypt"]
    words += ["-s", str(server.folder.with_name("smbd") / "smb.conf"), "-c", "; ".join(commands)]
    return _timed(words, {}).seconds


def _timed(words: list[str], settings: dict[str, str]) -> Flown:
    began = time.perf_counter()
    process = subprocess.Popen(
        words, env=os.environ | settings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said = process.stdout.read() if process.stdout else b""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}: {said.decode(errors='replace')[-500:]}")
    return Flown(time.perf_counter() - began, used.ru_maxrss * 1024 / 1e6)
