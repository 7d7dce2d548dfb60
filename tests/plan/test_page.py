"""A report's page in a real Chromium, from a file, as wide as a phone and as a desktop."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from commonhold.plan.pages.report import report

from .test_report import few
from .trials import HOT, SERVER, simulated

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LONG = "a-computer-with-a-name-that-is-as-long-as-a-name-may-be-and-then-some"
# The page in a frame as wide as a screen tells by how much it would like to be wider.
FRAME = """<!DOCTYPE html><title>waiting</title><body><script>
const told = [];
for (const width of [390, 1280]) {
  const frame = document.createElement("iframe");
  frame.width = width; frame.height = 900; frame.src = "PAGE";
  frame.onload = () => {
    const page = frame.contentDocument.documentElement;
    const letters = Math.min(...[...page.querySelectorAll("svg")].map(
      svg => 10.5 * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width));
    const paths = page.querySelectorAll("svg path").length;
    told.push([width, page.scrollWidth - page.clientWidth, paths, Math.round(letters)].join(" "));
    document.title = told.sort().join(";");
  };
  document.body.append(frame);
}
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt install chromium")
def test_a_browser_shows_it_from_a_file_at_a_phone_s_and_a_desktop_s_width(tmp_path):
    """Nothing is refused by the page's own policy, nothing is wider than the screen, and letters are large enough."""
    page = tmp_path / "casa é.html"
    trial = simulated(3, (1, 4), (SERVER, HOT), 2, (LONG,), 40)
    page.write_bytes(report(None, [trial], claims=few)["report.html"])
    (tmp_path / "frame.html").write_text(FRAME.replace("PAGE", page.as_uri()))
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
    ]
    flags += ["--allow-file-access-from-files", "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [CHROMIUM, *flags, "--virtual-time-budget=5000", "--dump-dom", (tmp_path / "frame.html").as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    (told,) = re.findall("<title>(.*)</title>", done.stdout)
    for width, each in zip((1280, 390), told.split(";"), strict=True):
        asked, too_wide, drawn, letters = map(int, each.split())
        assert (asked, too_wide) == (width, 0)
        assert drawn > 100
        assert letters >= 10
