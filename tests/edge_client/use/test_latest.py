"""The file that says what a client forecasts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bramble_client.use.latest import Latest


@pytest.fixture
def latest(tmp_path: Path) -> Latest:
    return Latest(tmp_path / "latest.json", "pi-1", lambda: 5.0)


def test_it_says_what_is_known_of_each_task(latest: Latest, tmp_path: Path) -> None:
    latest.tell("climate", {"outputs": {"y": 21.5}})
    latest.tell("room", {"outputs": {"y": 20.0}})
    told = json.loads((tmp_path / "latest.json").read_text())
    assert told == {
        "format": 1,
        "client": "pi-1",
        "written": 5.0,
        "tasks": {"climate": {"outputs": {"y": 21.5}}, "room": {"outputs": {"y": 20.0}}},
    }


def test_others_may_read_it_and_none_but_the_client_write_it(latest: Latest, tmp_path: Path) -> None:
    latest.tell("climate", {})
    assert (tmp_path / "latest.json").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["latest.json"]


def test_whoever_has_it_open_goes_on_reading_what_it_opened(latest: Latest, tmp_path: Path) -> None:
    latest.tell("climate", {"outputs": {"y": 1.0}})
    with (tmp_path / "latest.json").open() as opened:
        latest.tell("climate", {"outputs": {"y": 2.0}})
        assert json.load(opened)["tasks"]["climate"]["outputs"]["y"] == 1.0


def test_what_is_forgotten_is_not_said_any_more(latest: Latest, tmp_path: Path) -> None:
    latest.tell("climate", {})
    latest.tell("room", {})
    latest.forget("climate")
    assert list(json.loads((tmp_path / "latest.json").read_text())["tasks"]) == ["room"]
    latest.forget()
    assert not (tmp_path / "latest.json").exists()


def test_a_folder_that_takes_nothing_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    latest = Latest(tmp_path / "gone" / "latest.json", "pi-1", lambda: None)
    latest.tell("climate", {})
    latest.tell("climate", {})
    assert len(caplog.messages) == 1
    assert "No such file or directory" in caplog.text
