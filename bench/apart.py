"""Environments that hold other people's programs and nothing of Bramble's; each is made where there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.asked import Refused

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).with_name("peers")


def environment(name: str, *options: str) -> Path:
    """Return the Python of ``.venv-NAME``, in which is what ``peers/NAME.txt`` lists.

    Parameters
    ----------
    options
        More for pip.

    Raises
    ------
    Refused
        If it cannot be installed.
    """
    listed = PEERS / f"{name}.txt"
    folder, wanted = ROOT / f".venv-{name}", listed.read_text()
    python, complete = folder / "bin" / "python", folder / ".complete"
    if not complete.exists() or complete.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options, "-r", listed]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            why = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
            raise Refused(f"{name} cannot be installed here, so nothing is measured with it: {why}")
        complete.write_text(wanted)
    return python
