"""The README is true: its commands are run as they stand there, its flags and links exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm
from tests.e2e.readme import BLOCKS, README, ROOT, paste, script


def test_make_demo_runs_the_product(tmp_path: Path) -> None:
    arguments = re.search(r'make demo ARGS="(--rounds 3 --exit)"', README)
    assert arguments
    command = ["make", "demo", f"ARGS={arguments[1]} --port 0 --inspector-port 0", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 rounds committed" in done.stdout


def test_the_two_commands_are_targets() -> None:
    for command in script("").split("\n"):
        if command:
            subprocess.run([*command.split(), "-n"], cwd=ROOT, check=True, capture_output=True)


def test_the_walk_through_on_a_laptop_works_as_it_is_pasted(tmp_path: Path) -> None:
    binaries = Path(sys.executable).parent
    (tmp_path / ".venv").symlink_to(binaries.parent)
    look = "until curl -sf -o /dev/null http://127.0.0.1:8050/; do sleep 0.1; done; curl -s http://127.0.0.1:5000/rounds"
    output = paste(f"{script('laptop')}\n{look}; kill $(jobs -p); wait; echo; echo THE END", tmp_path)
    assert "THE END" in output, output
    assert "Traceback" not in output
    assert "cycle 1: 2 clients took 500 readings each" in output
    assert "round 1: asked attic, cellar" in output
    record = json.loads(re.search(r'^\{"rounds".*\}$', output, re.M)[0])["rounds"][0]  # type: ignore[index]
    assert record["state"] == "committed"
    assert record["updates"] == 2
    assert '"attic"' in output
    assert (tmp_path / "bramble-data" / "attic").is_dir()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name not in (".venv", "out")) == ["bramble-data"], "nothing else is left"


def test_no_shell_takes_a_character_of_the_commands_for_a_pattern() -> None:
    for _, body in BLOCKS:
        bare = re.sub(r"\"[^\"]*\"|'[^']*'", "", body)
        assert not re.search(r"[?*\[\]{}!~]", bare), f"quote it, or zsh looks for files: {bare}"


def documented_flags() -> set[tuple[str, str]]:
    found = set()
    for command, rest in re.findall(r"bramble (server|client|inspector|demo|token|round start)([^`\n]*)", README):
        found |= {(command, flag) for flag in re.findall(r"--[a-z-]+", rest)}
    return found


@pytest.mark.parametrize(("command", "flag"), sorted(documented_flags()))
def test_a_flag_that_the_readme_names_exists(command: str, flag: str) -> None:
    done = warm.run("bramble", *command.split(), "--help", COLUMNS="300", NO_COLOR="1")
    assert done.returncode == 0, done.stderr
    assert flag in done.stdout


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", README)) | set(re.findall(r"^\| `(\w+/)`", README, re.M)))
)
def test_what_the_readme_points_to_exists(target: str) -> None:
    assert (ROOT / target).exists()
