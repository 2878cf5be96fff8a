"""The client's own process: it has every setting, and nothing of what read them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bramble import resident
from bramble_client.settings import ClientSettings
from bramble_protocol.python_path import python_path
from tests.edge_client.process import ClientProcess

NAMES = [*ClientSettings.model_fields, *(name for name, member in vars(ClientSettings).items() if isinstance(member, property))]


@pytest.mark.parametrize(
    "given",
    [
        {"sensors": "mock"},
        {"sensors": "linux", "mode": "private", "data_dir": "/var/lib/x", "gpio": True, "labels": "a, b", "sample_every": "90s"},
        {"sensors": "mock", "replay": "garden.csv", "server": "https://hub", "ca": "ca.pem", "trust_graphs": ["a.pub", "b.pub"]},
        {
            "sensors": "mock",
            "train_between": ["01:00-05:00", "22:00-02:00"],
            "monthly_bytes": "200M",
            "steady_power": True,
            "least_battery": 30,
        },
    ],
)
def test_a_setting_arrives_as_it_was_with_its_type_and_so_does_what_follows_from_it(given: dict[str, object]) -> None:
    settings = ClientSettings(id="pi-1", **given)  # type: ignore[arg-type]
    arrived = resident.unpacked(resident.packed(settings))
    for name in NAMES:
        expected, found = getattr(settings, name), getattr(arrived, name)
        assert (found, type(found)) == (expected, type(expected)), name


def test_a_client_keeps_its_number_and_holds_neither_pydantic_nor_asyncio(tmp_path: Path) -> None:
    with ClientProcess("http://127.0.0.1:1", tmp_path) as client:
        client.wait_log("cannot reach the server")
        pid = client.process.pid
        assert b"bramble.resident" in Path(f"/proc/{pid}/cmdline").read_bytes()
        mapped = Path(f"/proc/{pid}/maps").read_text()
        assert "_ssl" in mapped
        assert not {name for name in ("_pydantic_core", "_asyncio", "mtrand") if name in mapped}
        assert client.stop() == 0


HELD = """
import os, runpy, sys
sys.argv = ["resident", "0", "20"]
try:
    runpy.run_module("bramble.resident", run_name="__main__")
finally:
    import requests
    response = requests.Response()
    response._content = "21 \u00b0C".encode()
    print(response.text, sorted(name for name in sys.modules if name.split(".")[0] in ("tomllib", "charset_normalizer")), file=sys.stderr)
"""


def test_what_guesses_encodings_and_reads_toml_is_not_there_and_text_is_utf_8() -> None:
    settings = ClientSettings(id="pi-1", sensors="mock", token_file="missing")
    path = python_path("bramble", "bramble_client", "bramble_protocol")
    done = subprocess.run(
        [sys.executable, "-c", HELD], input=resident.packed(settings), capture_output=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.stderr.decode().splitlines()[-1] == "21 \u00b0C ['charset_normalizer']"


SHUFFLED = """
import sys
from bramble_client.learn.fitting import minibatches
from bramble_client.learn.trainer import shuffles
from bramble_protocol.messages import TrainConfig
minibatches(100, TrainConfig(), shuffles(0, "pi-1", 1))
print(sorted(name for name in sys.modules if name.startswith("numpy.random")))
"""


def test_shuffles_take_none_of_numpys_generators() -> None:
    path = python_path("bramble_client", "bramble_protocol")
    done = subprocess.run([sys.executable, "-c", SHUFFLED], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_what_its_start_finds_wrong_is_one_sentence_and_an_exit_code(tmp_path: Path) -> None:
    with ClientProcess("http://127.0.0.1:1", tmp_path, "--token-file", str(tmp_path / "missing")) as client:
        assert client.process.wait(60) == 1
        assert client.log() == f"bramble: --token-file: cannot read {tmp_path}/missing (No such file or directory)\n"
