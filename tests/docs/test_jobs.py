"""docs/jobs.md: each line that is typed there prints what stands below it."""

from __future__ import annotations

import pytest

from commonhold.compute.job import Input, words_for

from .documents import ROOT, blocks
from .test_readme import TYPED, NearDesk, follow

DOCUMENT = ROOT / "docs" / "jobs.md"


@pytest.fixture
def bob(tmp_path):
    """tower is ann's and shares photos; laptop is bob's; both compute for bob."""
    desk = NearDesk(tmp_path)
    (tmp_path / "tower" / "photos").mkdir(exist_ok=True)
    for file in (tmp_path / "tower" / "photos").rglob("*.jpg"):
        file.rename(file.with_suffix(".txt"))
    try:
        desk.type("tower", "commonhold create home --person ann --computer tower")
        desk.type("tower", "commonhold invite")
        desk.type("laptop", "commonhold join 7-orange-velvet --person bob --computer laptop")
        desk.type("tower", "commonhold share ~/photos --to bob --verb write")
        desk.type("tower", "commonhold allow bob run compute")
        yield desk
    finally:
        desk.close()


def test_every_example_prints_what_it_says(bob):
    typed = [block for block in blocks(DOCUMENT) if block.mark == "run: jobs"]
    assert len(typed) >= 3
    for block in typed:
        assert TYPED.fullmatch(block.text.splitlines()[0])
        follow(bob, block, check=False)


def test_the_table_of_placeholders_is_right():
    rows = [line.split("|") for line in DOCUMENT.read_text().splitlines() if line.startswith("| `{")]
    assert len(rows) == 6
    file, value = Input("remote", "tower:photos/2026/a b.jpg", "a b.jpg"), Input("value", "x/y.tar.gz")
    for _, form, of_file, of_value, _ in rows:
        for given, told in ((file, of_file), (value, of_value)):
            (word,) = words_for((form.strip(" `"),), given, 7)
            right = "7" if "number" in told else told.partition(",")[0].strip(" `")
            assert word == right, (form, given)
