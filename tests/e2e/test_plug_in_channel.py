"""A channel that only a plug-in knows goes all the way: sensor, store, server, page."""

from __future__ import annotations

from pathlib import Path

from bramble_inspector import series
from tests.edge_client import plugin
from tests.edge_client.process import ROOT, ClientProcess
from tests.server.process import ServerProcess
from tests.waiting import wait_for


def test_a_plug_ins_channel_is_measured_mirrored_and_shown(tmp_path: Path) -> None:
    packages = plugin.install(tmp_path / "packages")
    (tmp_path / "sensors.toml").write_text('[[sensor]]\ndriver = "radon1"\n\n[[sensor]]\ndriver = "bme280"\n')
    flags = ("--sensors-file", str(tmp_path / "sensors.toml"))
    with ServerProcess(tmp_path) as server, ClientProcess(server.url, tmp_path, *flags, PYTHONPATH=f"{packages}:{ROOT}") as client:
        client.wait_connected()
        server.api.generate(30)
        answer = wait_for(lambda: (found := server.api.readings().get("pi-1")) and found, "the readings")
        shown = series.parse({"pi-1": answer})["pi-1"]
        assert shown["radon"].unit == "Bq/m³"
        assert ((shown["radon"].value >= 2400) & (shown["radon"].value <= 7600)).all()
        assert len(shown["radon"].t) == len(shown["temperature"].t) == 30
        assert "Traceback" not in client.log()
