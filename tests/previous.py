"""The release before this one, from the git history, installed in an environment of its own beside the packages of the tests'."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
RELEASE_0_1 = "a2f909e"


def unpack(folder: Path) -> Path:
    """Unpack the sources of release 0.1 into a folder that is made for them, and return it."""
    archive = subprocess.run(["git", "archive", RELEASE_0_1], cwd=ROOT, capture_output=True)
    why = f"this clone does not reach back to release 0.1 ({RELEASE_0_1}); get the rest of it with `git fetch --unshallow`"
    assert archive.returncode == 0, f"{why}: {archive.stderr.decode().strip()}"
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    return folder


def install(folder: Path) -> Path:
    """Install release 0.1 into a folder; return its command ``bramble``."""
    sources, environment = unpack(folder / "sources"), folder / "venv"
    venv.create(environment)
    python = environment / "bin" / "python"
    # after its own packages, so that what both have, such as the package bramble, is the release's
    own = Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
    (own / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
        str(sources),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return environment / "bin" / "bramble"
