"""The page on adding a sensor is true: its driver, chip and test are taken from it and run."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from bramble_client.hal import catalogue, detect, open_board
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.contract import DriverContract
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.scene import Scene

PAGE = Path(__file__).parents[3] / "docs" / "add-a-sensor.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def load(text: str, **known: Any) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "acme", **known}
    exec(compile(re.sub(r"^from acme.*\n", "", text, flags=re.MULTILINE), str(PAGE), "exec"), names)
    return names


DRIVER = load(BLOCKS[0])["Acme1"]
CHIP = load(BLOCKS[1])["Acme1"]
TestAcme1: type[DriverContract] = load(BLOCKS[2], Driver=DRIVER, Chip=CHIP)["TestAcme1"]


def test_the_page_has_a_driver_a_chip_and_a_test() -> None:
    assert len(BLOCKS) == 3
    assert DRIVER.name == CHIP.name == "acme1"
    assert 20 <= BLOCKS[0].count("\n") <= 60, "an example is read to its end"


def test_the_example_is_found_configured_and_sampled_through_its_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene, clock: VirtualClock
) -> None:
    group = dict(re.findall(r'\[project\.entry-points\."([a-z.]+)"\]\nacme1 = "([a-z_.:A-Z0-9]+)"', PAGE.read_text(encoding="utf-8")))
    assert group == {"bramble.sensors": "acme.driver:Acme1", "bramble.chips": "acme.chip:Acme1"}
    classes = {"bramble.sensors": DRIVER, "bramble.chips": CHIP}
    points = [EntryPoint("acme1", value, name) for name, value in group.items()]
    monkeypatch.setattr(EntryPoint, "load", lambda point: classes[point.group])
    monkeypatch.setattr(
        catalogue, "entry_points", lambda group, name="acme1": [point for point in points if (point.group, point.name) == (group, name)]
    )
    bus = SimulatedBus(clock)
    bus.attach(0x19, CHIP(scene, clock))
    assert [item.note for item in detect.scan(bus)] == ["ACME-1, by its identity"]
    path = tmp_path / "sensors.toml"
    path.write_text('[[sensor]]\ndriver = "acme1"\n')
    assert open_board("mock", seed="pi-1", configuration=path).sample(1672531200.0)["temperature"] is not None


def test_every_file_that_the_page_points_to_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    names = re.findall(r"`((?:edge_client|tests/edge_client)/[a-z_/0-9]+(?:\.py|/))`", text)
    assert "edge_client/bramble_client/hal/drivers/tmp117.py" in names
    for name in names:
        assert (PAGE.parents[1] / name).exists(), name
