"""How the code hangs together: who may import whom, and one meaning for each word."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import commonhold

SOURCES = Path(commonhold.__file__).parent


def test_each_part_imports_only_what_stands_below_it():
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-cache"], cwd=SOURCES.parents[1], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_class_name_exists_twice():
    """One word, one meaning: whoever reads a name must not have to ask which of two it is."""
    found = defaultdict(list)
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(f"{path.relative_to(SOURCES)}:{node.lineno}")
    twice = {name: places for name, places in found.items() if len(places) > 1}
    assert not twice, "\n".join(f"{name}: {', '.join(places)}" for name, places in twice.items())


def test_every_file_and_class_and_function_keeps_its_size():
    """What outgrows these is two things."""
    large = []
    for path in sorted(SOURCES.rglob("*.py")):
        text = path.read_text()
        bounds = [(path.name, text.count("\n"), 500)]
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                most = 250 if isinstance(node, ast.ClassDef) else 60
                bounds.append((node.name, (node.end_lineno or 0) - node.lineno + 1, most))
        large += [f"{path}: {name} has {lines} lines" for name, lines, most in bounds if lines > most]
    assert not large, "\n".join(large)
