"""A real client that finds its sensors, at one start after the other, with chips behind a kernel that is faked at open and ioctl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.edge_client.process import ROOT, ClientProcess
from tests.server.process import ServerProcess
from tests.waiting import wait_for

KERNEL = """
import os
import runpy
from pathlib import Path

from bramble_client.hal import catalogue
from bramble_client.hal.clock import HostClock
from bramble_client.hal.sim.scene import Scene
from bramble_client.hal.sim.world import Synthetic


class Patch:
    setattr = staticmethod(setattr)


Kernel = runpy.run_path(os.environ["FAKE_KERNEL"])["Kernel"]
kernel, clock = Kernel(Path(os.environ["FAKE_BUS"])), HostClock()
kernel.install(Patch)
scene = Scene(Synthetic("house"), clock, 1.7e9)
for chip in os.environ["FAKE_CHIPS"].split():
    name, address = chip.split("@")
    kernel.chips[int(address, 16)] = catalogue.chip(name)(scene, clock)
"""


def test_a_chip_that_is_absent_at_a_start_keeps_its_channels_on_the_server(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(KERNEL)

    def client(chips: str) -> ClientProcess:
        fake: dict[str, Any] = {
            "FAKE_CHIPS": chips,
            "FAKE_BUS": str(tmp_path / "i2c"),
            "FAKE_KERNEL": str(ROOT / "tests/edge_client/hal/kernel.py"),
        }
        return ClientProcess(
            server.url, tmp_path, "--sensors", "linux", "--sample-every", "1s", **fake, PYTHONPATH=f"{tmp_path}:{ROOT}"
        ).wait_connected()

    def seen(gone: list[str]) -> dict[str, Any]:
        """What the server knows of the client once it has reported these sensors as gone."""

        def reported() -> dict[str, Any] | None:
            known: dict[str, Any] = server.api.clients()["pi-1"]
            health = known.get("health") or {}
            return known if health.get("sensors_gone") == gone and health.get("sample_age") is not None else None

        return wait_for(reported, f"{gone} to be reported as gone")

    with ServerProcess(tmp_path) as server:
        with client("sht3x@0x44 bme280@0x76"):
            channels = seen([])["channels"]
        assert [channel["key"] for channel in channels] == ["temperature", "humidity", "bme280.temperature", "bme280.humidity", "pressure"]
        with client("bme280@0x76") as absent:
            assert seen(["sht3x"])["channels"] == channels
            assert absent.logged("sensors on /dev/i2c-1: sht3x at 0x44 does not answer, and is looked for again") == 1
            assert absent.stop() == 0
        with client("sht3x@0x44 bme280@0x76 tmp117@0x48"):
            there = seen([])["channels"]
        assert there == [*channels, {"key": "tmp117.temperature", "unit": "°C"}]
