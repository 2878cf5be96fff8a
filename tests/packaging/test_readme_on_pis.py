"""The README's lines for a hub and a Pi, pasted as they stand, where pip knows nothing but the wheel that `make release` built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Repository
from tests.pasted import paste, script


@pytest.fixture
def dist(released: Repository, tmp_path: Path) -> Path:
    """The folder that a maintainer has after a release, and in it, for want of an index, whatever Bramble asks for."""
    folder = tmp_path / "dist"
    shutil.copytree(released.folder / "dist", folder)
    [wheel] = folder.glob("*.whl")
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "-c",
        ROOT / "constraints.txt",
        "-w",
        folder,
        f"{wheel}[server,client]",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and not os.environ.get("CI"):
        pytest.skip(f"what Bramble needs cannot be had: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_two_machines_install_find_and_trust_each_other(dist: Path, tmp_path: Path) -> None:
    hub, pi, tools = tmp_path / "hub", tmp_path / "pi", tmp_path / "bin"
    for folder in (hub, pi, tools):
        folder.mkdir()
    (tools / "python3").symlink_to(Path(sys.executable).resolve())
    for machine in (hub, pi):
        (machine / "dist").symlink_to(dist)
    # The name that a network gives is this machine's, and the sensors are simulated; the rest is as it stands.
    serving = "\n".join(
        line + (" --allow-simulated &" if line.startswith("bramble server ") else "") for line in script("README.md", "hub").split("\n")
    )
    measuring = "\n".join(
        line.replace("--sensors linux", "--sensors mock > said &") if line.startswith("bramble client ") else line
        for line in script("README.md", "pi").split("\n")
        if not line.startswith("sudo raspi-config ")
    )
    output = paste(
        f"""
        PATH="{tools}:$PATH"
        cd {hub}; {script("README.md", "wheel")}
        {serving}
        command -v bramble; deactivate; cp server.pem kitchen.token {pi}
        cd {pi}; {script("README.md", "wheel")}
        {measuring}
        command -v bramble
        until grep -q connected said; do sleep 0.1; kill -0 $! || break; done; cat said; kill $(jobs -p); wait; echo THE END
        """.replace("hub.local", "localhost"),
        tmp_path,
        within=280,
        PIP_NO_INDEX="1",
        PIP_CONFIG_FILE=os.devnull,
        PIP_NO_COMPILE="1",
    )
    assert "THE END" in output, output
    commands = [line for line in output.splitlines() if line.endswith("/bin/bramble")]
    assert commands == [f"{machine}/bramble/bin/bramble" for machine in (hub, pi)], "each of its own environment"
    assert "bramble client kitchen connected to https://localhost:5000" in output, output
    assert "Traceback" not in output
