"""The README is true: its commands are run as they stand there, its flags and links exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import warm
from tests.pasted import ROOT, blocks, script
from tests.terminal import SHELLS, terminal

README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = blocks("README.md")


def test_make_demo_runs_the_product(tmp_path: Path) -> None:
    arguments = re.search(r'make demo ARGS="(--rounds 3 --exit)"', README)
    assert arguments
    command = ["make", "demo", f"ARGS={arguments[1]} --port 0 --inspector-port 0", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 rounds committed" in done.stdout


def test_the_two_commands_are_targets() -> None:
    for command in script("README.md", "").split("\n"):
        if command:
            subprocess.run([*command.split(), "-n"], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_walk_through_on_a_laptop_works_as_it_is_pasted(shell: str, tmp_path: Path) -> None:
    if not shutil.which(shell):
        assert not os.environ.get("CI"), f"Debian's {shell} is missing"
        pytest.skip(f"needs Debian's {shell}")
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    [end] = re.findall(r"^`(kill .*?)` ends it all", README, re.M)
    with terminal(shell, tmp_path) as person:
        began = time.monotonic()
        person.paste(script("README.md", "laptop"))
        person.read(r"cycle 1: 2 clients took 500 readings each")
        person.read(r"round 1: asked attic, cellar")
        person.read(r"round +1 +2 clients .* RMSE .*\n")
        print(f"{shell}: {time.monotonic() - began:.1f} s from the paste to the first committed round")
        person.read(r"round +1 +2 clients .* fedavg")
        person.read(r'\{"attic": \{"round": 1.*\}\}')
        person.read(r"inspector ready on http://127.0.0.1:8050")
        person.paste(f"{end}\nwait; jobs; echo THE\\ END\n")
        person.read(r"THE END")
        assert not re.search("Traceback|not found|no matches|illegal|ERROR", person.shown), person.shown
    assert (tmp_path / "bramble-data" / "attic").is_dir()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != ".") == ["bramble-data"], "nothing else is left"


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
