from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bramble_client.hal.errors import RecordingError
from bramble_client.hal.sim.recordings import Recording, builtin, load

GOOD = "time,temperature,humidity\n2023-01-01T00:00:00Z,1.0,50\n2023-01-01T01:00:00Z,2.0,60\n2023-01-01T02:00:00Z,4.0,70\n"
START = 1672531200.0


def write(folder: Path, text: str | bytes, name: str = "station.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_it_is_linear_between_samples_and_repeats(tmp_path: Path) -> None:
    recording = load(write(tmp_path, GOOD))
    assert recording.channels == ("temperature", "humidity")
    assert recording.at(START) == {"temperature": 1.0, "humidity": 50.0}
    assert recording.at(START + 1800)["temperature"] == pytest.approx(1.5)
    assert recording.at(START + 2 * 3600)["temperature"] == pytest.approx(4.0)
    assert recording.duration == 3 * 3600, "the last sample lasts as long as the others"
    assert recording.at(START + 2.5 * 3600)["temperature"] == pytest.approx(2.5), "from the last sample back to the first"
    for passes in (-2, 1, 1000):
        assert recording.at(START + passes * 3 * 3600 + 1800) == pytest.approx(recording.at(START + 1800))


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("2023-01-01T00:00:00Z", "1672531200").replace("2023-01-01T01:00:00Z", "1672534800.0"),
        GOOD.replace("2023-01-01T00:00:00Z", "2023-01-01 00:00:00").replace("2023-01-01T01:00:00Z", "2023-01-01T03:00:00+02:00"),
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.replace(",", " , "),
        GOOD + "\n\n",
    ],
    ids=["epoch seconds", "other ISO forms", "Windows lines", "byte order mark", "spaces", "blank lines"],
)
def test_the_usual_variants_mean_the_same(tmp_path: Path, text: str) -> None:
    recording = load(write(tmp_path, text))
    assert recording.first == START
    assert recording.at(START + 3600) == {"temperature": 2.0, "humidity": 60.0}


def test_a_gzipped_recording_is_read_by_its_content(tmp_path: Path) -> None:
    assert load(write(tmp_path, gzip.compress(GOOD.encode()), "x.csv.gz")).at(START)["humidity"] == 50


def test_a_single_sample_holds_for_ever() -> None:
    assert Recording([5.0], {"temperature": [3.0]}).at(99.25) == {"temperature": 3.0}


HEAD = "time,temperature\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty; its first line must name the columns"),
        ("\n  \n", "is empty; its first line must name the columns"),
        (HEAD, "has no line of values after the one that names the columns"),
        (HEAD.encode("utf-16"), "has no line of values after the one that names the columns"),
        ("moment,temperature\n1,2\n", "line 1, column 1: the first column must be 'time', not 'moment'"),
        ("time\n1\n", "line 1, column 2: missing; name at least one channel"),
        (
            "time,temprature\n1,2\n",
            r"line 1, column 2: 'temprature' is not a channel \(did you mean temperature\?\); the channels are temp",
        ),
        ("time,humidity,humidity\n1,2,3\n", "line 1, column 3: 'humidity' appears twice"),
        (HEAD + f"{START},2\n2\n", r"line 3, column 'temperature': 1 values where the first line names 2 columns"),
        (HEAD + f"{START},2\n2,3,4\n", r"line 3, column 3: 3 values where the first line names 2 columns; write decimals with a point"),
        (HEAD + f"{START},2\n{START + 1},warm\n", "line 3, column 'temperature': 'warm' is not a number"),
        (HEAD + f"{START},2\n{START + 1},1e999\n", "line 3, column 'temperature': '1e999' is not a number"),
        (HEAD + "soon,2\n", "line 2, column 'time': 'soon' is not a time; write it as 2023-01-01T00:00:00Z"),
        (HEAD + "inf,2\n", "line 2, column 'time': 'inf' is not a time"),
        (HEAD + ",2\n", "line 2, column 'time': a time is missing"),
        (HEAD + "1700000001,2\n1700000000,2\n", "line 3, column 'time': 1700000000 lies before the time of the line above; sort the file"),
        (HEAD + "1700000001,2\n\n1700000001,2\n", "line 4, column 'time': 1700000001 repeats the time of the line above"),
        (HEAD + f'{START},"2\n', "line 2, column 1: not CSV"),
        (gzip.compress(GOOD.encode(), mtime=0)[:-20], "is a damaged gzip file"),
        (b"\x1f\x8b not gzip at all", "station.csv"),
    ],
)
def test_a_malformed_file_is_refused_naming_line_and_column(tmp_path: Path, text: str | bytes, complaint: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RecordingError, match=complaint) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"nowhere\.csv cannot be read: No such file"):
        load(tmp_path / "nowhere.csv")


def test_the_built_in_recordings_are_a_year_of_hours_each() -> None:
    paths = builtin()
    assert len(paths) >= 5
    for name, path in paths.items():
        recording = load(path)
        assert recording.first == START, name
        assert recording.duration == 8760 * 3600, name
        assert set(recording.channels) == {"temperature", "humidity", "pressure"}, name


def test_a_recording_of_one_line_is_that_for_ever_and_of_uneven_steps_closes_with_the_median(tmp_path: Path) -> None:
    assert Recording([5.0], {"pressure": [1000.0]}).at(1e9) == {"pressure": 1000.0}
    uneven = Recording([0.0, 10.0, 20.0, 90.0], {"pressure": [0.0, 1.0, 2.0, 9.0]})
    assert uneven.duration == 100.0
    assert uneven.at(95.0)["pressure"] == pytest.approx(4.5), "half way back to the first"
    assert uneven.at(-5.0) == uneven.at(95.0)


def test_a_recording_may_begin_at_any_time_and_be_zipped(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"time,temperature\n1700001000,1\n1700001010,2\n\n1700001020,3\n"))
    recording = load(path)
    assert (recording.first, recording.duration) == (1_700_001_000.0, 30.0)
    assert [recording.at(1_700_000_000 + t)["temperature"] for t in (1000, 1005, 1020, 1030)] == [1.0, 1.5, 3.0, 1.0]


def test_a_quote_that_is_never_closed_is_no_csv(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('time,temperature\n0,"1\n')
    with pytest.raises(RecordingError, match=r"line \d, column 1: not CSV"):
        load(path)


def test_a_column_named_label_says_what_was_going_on_and_is_repeated_with_the_readings(tmp_path: Path) -> None:
    rows = ((0, "sit"), (10, " sit "), (20, ""), (30, "walk"))
    text = "".join(f"{START + t:.0f},{label},{t}\n" for t, label in rows)
    recording = load(write(tmp_path, "time,label,temperature\n" + text))
    assert recording.channels == ("temperature",)
    once = [(START, "sit"), (START + 20, ""), (START + 30, "walk")]
    assert list(recording.labels) == recording.said(START + 5, START + 39) == once
    again = [(t + turn * 40, label) for turn in (1, 2) for t, label in once]
    assert recording.said(START + 45, START + 90) == again
    assert load(write(tmp_path, GOOD)).labels == ()
