"""The README is true: its commands are run as they stand there, its flags and links exist."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh *(\w*)\n(.*?)^```", README, re.M | re.S)


def script(kind: str) -> str:
    return "\n".join(body for name, body in BLOCKS if name == kind)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


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


def test_the_walk_through_on_a_laptop_works_line_by_line(tmp_path: Path) -> None:
    server, inspector = free_port(), free_port()
    body = script("laptop").replace(". .venv/bin/activate", f'PATH="{Path(sys.executable).parent}:$PATH"')
    body = body.replace("127.0.0.1:5000", f"127.0.0.1:{server}").replace("bramble inspector &", f"bramble inspector --port {inspector} &")
    # A person types slower than a script: between two lines wait until what the line before started is there.
    waiting = {
        'curl -X POST "http': "until curl -sf $U/status | grep -q '\"clients\": *2'; do sleep 0.1; done",
        "curl -X POST http": "until curl -sf $U/status | grep -q '\"cycle_waiting_for\": *\\[\\]'; do sleep 0.1; done",
        "curl http://127.0.0.1": "until curl -sf $U/status | grep -q '\"running\": *null'; do sleep 0.1; done",
    }
    for start, wait in waiting.items():
        body = re.sub(rf"^(?={re.escape(start)})", lambda _, wait=wait: wait + "\n", body, count=1, flags=re.M)
    body = body.replace("curl -X", "curl -sS --fail-with-body -X").replace("curl http", "curl -sS --fail-with-body http")
    last = f"until curl -sf -o /dev/null http://127.0.0.1:{inspector}/; do sleep 0.1; done; kill $(jobs -p); wait; echo; echo THE END"
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "BRAMBLE_SERVER": f"http://127.0.0.1:{server}",
        "U": f"http://127.0.0.1:{server}",
    }
    text = f"set -eu\n{body}\n{last}\n".replace("bramble server &", f"bramble server --port {server} &")
    with (tmp_path / "out").open("w+", encoding="utf-8") as out:
        process = subprocess.Popen(
            ["bash", "-c", text], stdout=out, stderr=subprocess.STDOUT, cwd=tmp_path, env=environment, start_new_session=True
        )
        try:
            process.wait(180)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        out.seek(0)
        output = out.read()
    assert "THE END" in output, output
    assert '"state"' in output
    assert "committed" in output
    assert '"attic"' in output
    assert "Traceback" not in output


def documented_flags() -> set[tuple[str, str]]:
    found = set()
    for command, rest in re.findall(r"bramble (server|client|inspector|demo|token)([^`\n]*)", README):
        found |= {(command, flag) for flag in re.findall(r"--[a-z-]+", rest)}
    return found


@pytest.mark.parametrize(("command", "flag"), sorted(documented_flags()))
def test_a_flag_that_the_readme_names_exists(command: str, flag: str) -> None:
    text = subprocess.run(
        [sys.executable, "-m", "bramble", command, "--help"],
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "300", "NO_COLOR": "1"},
    ).stdout  # fmt: skip
    assert flag in text


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", README)) | set(re.findall(r"^\| `(\w+/)`", README, re.M)))
)
def test_what_the_readme_points_to_exists(target: str) -> None:
    assert (ROOT / target).exists()
