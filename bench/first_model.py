"""From ``make demo`` in a fresh clone to the first averaged model, once more when everything is set up, and from the README's lines."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.table import Row
from tests.pasted import script
from tests.terminal import terminal

ROOT = Path(__file__).parents[1]


def seconds(clone: Path) -> float:
    """Run the demo's first round and return how long its line took to appear."""
    hidden = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "CI", "MAKEFLAGS", "MAKELEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    arguments = "ARGS=--rounds 1 --exit --port 0 --inspector-port 0"
    base = f"PYTHON={getattr(sys, '_base_executable', sys.executable)}"
    began = time.monotonic()
    with subprocess.Popen(
        ["make", "demo", arguments, base], cwd=clone, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as demo:
        assert demo.stdout is not None
        took, said = None, []
        for line in demo.stdout:
            said.append(line)
            if took is None and line.startswith("round "):
                took = time.monotonic() - began
    if took is None or demo.returncode:
        raise RuntimeError(f"make demo ended with {demo.returncode}:\n{''.join(said[-20:])}")
    return took


def pasted(clone: Path) -> float:
    """Paste the README's walk-through and return how long its first round's line took to appear."""
    with terminal("bash", clone) as person:
        began = time.monotonic()
        person.paste(script("README.md", "laptop"))
        person.read(r"round +1 +2 clients .* RMSE")
        return time.monotonic() - began


def main() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bramble-first-") as folder:
        clone = Path(folder) / "bramble"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        first, second, third = seconds(clone), seconds(clone), pasted(clone)
    what = "from `make demo`, the package cache warm"
    return [
        Row("first averaged model in a fresh clone", first, "s", 120, f"{what}, with all the set-up"),
        Row("first averaged model on the second run", second, "s", 25, "from `make demo`, everything set up"),
        Row("first averaged model by the README's lines", third, "s", 60, "from the paste into bash, everything set up"),
    ]
