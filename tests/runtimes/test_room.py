"""The room task on a runtime: it begins after an hour with any thermometer, and beats persistence with one channel and with three."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bramble_client.hal.sim import rooms
from bramble_client.learn.fitting import Model
from bramble_client.learn.gathering import NotEnoughData, enough
from bramble_client.learn.plausibility import WindowDoubts
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.trainer import Ready, Result, local_run, measure
from bramble_client.learn.windows import windows
from bramble_protocol.kinds import windows_in
from bramble_protocol.messages import ClientUpdate, Extras, Timing
from bramble_server import tasks

ROOM = tasks.load("room")
MANIFEST = ROOM.manifest


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime(ROOM.flatbuffer)


def trained(runtime: Runtime, times: np.ndarray, values: np.ndarray) -> Result:
    config = replace(MANIFEST.config, epochs=20)
    update = ClientUpdate(
        1, "room", ROOM.sha256, MANIFEST.layout, "float32", "float32", ROOM.initial, config, extras=Extras(counts=True)
    )  # fmt: skip
    ready = Ready(MANIFEST, ROOM.state, windows(times, values, MANIFEST), WindowDoubts(), "pi-1")
    return local_run(runtime, ready, update, None, None, Timing(0, 0, 0))


def test_it_can_be_trained_after_65_minutes_of_a_thermometer_alone() -> None:
    times, values = rooms.readings("a", 65)
    values[:, 1:] = np.nan
    enough(windows(times, values, MANIFEST), times, values, MANIFEST, times[-1])
    with pytest.raises(NotEnoughData, match="19 of 20 windows; first training in 1 min"):
        enough(windows(times[:-1], values[:-1], MANIFEST), times[:-1], values[:-1], MANIFEST, times[-2])


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_it_beats_persistence_where_it_learned(runtime: Runtime, channels: int) -> None:
    times, values = rooms.readings("a", 1440)
    values[:, channels:] = np.nan
    result = trained(runtime, times, values)
    model = Model(result.complete.weights, ROOM.state).arguments(MANIFEST)
    found = measure(runtime, windows(times, values, MANIFEST), model)
    assert found["error"] < 0.9 * found["baseline"]
    counts = result.complete.counts
    assert counts is not None
    assert set(counts) == {"target.temperature", "target.humidity"} if channels == 3 else {"target.temperature"}
    n, error, baseline = counts["target.temperature"]
    assert n == windows_in("target.temperature", (n, error, baseline)) == result.complete.metrics["test_samples"]
    assert error / n == pytest.approx(result.complete.metrics["test_error"], rel=1e-4)


def test_what_a_client_lacks_does_not_move_its_forecast(runtime: Runtime) -> None:
    times, values = rooms.readings("a", 200)
    result = trained(runtime, times, values)
    model = Model(result.complete.weights, ROOM.state).arguments(MANIFEST)
    values[:, 1:] = np.nan
    lacking = windows(times, values, MANIFEST)
    other = {**lacking.inputs, "past": lacking.inputs["past"] + np.asarray([0, 50, 900], np.float32)}
    given, changed = (runtime("infer", **inputs, **model)["temperature"] for inputs in (lacking.inputs, other))
    np.testing.assert_allclose(given, changed, atol=1e-4)


def test_what_it_says_of_falling_it_says_of_rising_the_other_way_round(runtime: Runtime) -> None:
    times, values = rooms.readings("a", 200)
    model = Model(trained(runtime, times, values).complete.weights, ROOM.state).arguments(MANIFEST)
    inputs = windows(times, values, MANIFEST).inputs
    now = inputs["past"][:, -1:, :]

    def change(past: np.ndarray) -> np.ndarray:
        found: np.ndarray = runtime("infer", past=past, there=inputs["there"], **model)["temperature"] - now[:, 0, 0]
        return found

    assert np.abs(change(inputs["past"])).max() > 0.05
    np.testing.assert_allclose(change(2 * now - inputs["past"]), -change(inputs["past"]), atol=1e-4)
    np.testing.assert_allclose(change(np.repeat(now, MANIFEST.window, 1)), 0, atol=1e-4)
