from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bramble_client.settings import ClientSettings, hostname_id
from bramble_protocol import fields


@pytest.fixture(autouse=True)
def _nobodys_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "SERVER",
        "ID",
        "SENSORS",
        "REPLAY",
        "SENSORS_FILE",
        "FAULTS",
        "GPIO",
        "LABELS",
        "DATA_DIR",
        "TOKEN_FILE",
        "CA",
        "MODE",
        "SAMPLE_EVERY",
    ):
        monkeypatch.delenv(f"BRAMBLE_CLIENT_{name}", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("raspberrypi", "raspberrypi"),
        ("Pi-Kitchen.local", "pi-kitchen"),
        ("my_pi 4", "my-pi-4"),
        ("-pi-", "pi"),
        ("Küche", "k-che"),
        ("x" * 80, "x" * 63),
        ("ü", "client"),
    ],
)
def test_a_machines_name_becomes_an_id_that_the_contract_takes(monkeypatch: pytest.MonkeyPatch, host: str, name: str) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    assert hostname_id() == name
    assert fields.CLIENT_ID.fullmatch(name)
    assert ClientSettings(sensors="mock").id == name


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"noise": 1.0, "mode": "private"}, "--noise without --clip hides nothing"),
        ({"clip": 1.0, "mode": "private"}, "--clip is the length that --noise is measured in"),
        ({"noise": 1.0, "clip": 1.0}, "of no use where readings themselves are mirrored: say --mode private"),
        ({"epsilon": 8.0}, "of no use where readings themselves are mirrored: say --mode private"),
    ],
)
def test_noise_that_would_hide_nothing_is_refused_with_what_to_say(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ClientSettings(sensors="mock", **given)


def test_budgets_are_read_as_people_write_them() -> None:
    settings = ClientSettings(sensors="mock", train_between=["01:00-05:00", "22:00-02:00"], monthly_bytes="1.5G")
    assert settings.train_between == "01:00-05:00,22:00-02:00"
    assert settings.monthly_bytes == 1_500_000_000
    nothing = ClientSettings(sensors="mock")
    assert (nothing.train_between, nothing.monthly_bytes, nothing.steady_power, nothing.least_battery) == (None, None, False, None)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("train_between", "25:00-05:00", "25:00 is no time of a day: they go from 00:00 to 24:00"),
        ("train_between", "05:00-05:00", "05:00-05:00 begins when it ends: for the whole day leave it out"),
        ("train_between", "", "are no hours: expected hours such as 01:00-05:00"),
        ("train_between", [], "are no hours"),
        ("train_between", "01:00-02:00,,", "are no hours"),
        ("monthly_bytes", 0, "with nothing to spend it would never train: expected an amount such as 200M"),
        ("monthly_bytes", "0M", "with nothing to spend"),
        ("monthly_bytes", "much", "expected an amount such as 200M"),
        ("monthly_bytes", -5, "with nothing to spend"),
        ("least_battery", 0, "greater than or equal to 1"),
        ("least_battery", 101, "less than or equal to 100"),
    ],
)
def test_a_budget_that_cannot_be_is_refused_with_what_to_write(name: str, value: object, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ClientSettings(sensors="mock", **{name: value})  # type: ignore[arg-type]


def test_the_environment_sets_what_no_flag_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAMBLE_CLIENT_SERVER", "https://garden.example:8443/")
    monkeypatch.setenv("BRAMBLE_CLIENT_SENSORS", "linux")
    monkeypatch.setenv("BRAMBLE_CLIENT_SAMPLE_EVERY", "5m")
    monkeypatch.setenv("BRAMBLE_CLIENT_SENSORS_FILE", "/etc/bramble/sensors.toml")
    settings = ClientSettings(id="pi-1")
    assert settings.sensors_file == Path("/etc/bramble/sensors.toml")
    assert (settings.server, settings.sensors, settings.sample_every) == ("https://garden.example:8443", "linux", 300)


@pytest.mark.parametrize("url", ["http://10.0.0.5:5000", "https://garden.example", "http://[::1]:5000", "http://pi.local/"])
def test_a_servers_address_is_taken_without_its_last_slash(url: str) -> None:
    assert ClientSettings(sensors="mock", server=url).server == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    ["", "10.0.0.5:5000", "ws://10.0.0.5", "http://", "http://:5000", "http://pi:port", "http://pi:99999", "http://pi:0",
     "http://pi?x=1", "http://pi#x", "http://me:secret@pi", "http://[::1", "file:///etc/passwd"],
)  # fmt: skip
def test_what_is_no_servers_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ValidationError, match=r"such as http://192\.168\.1\.10:5000"):
        ClientSettings(sensors="mock", server=url)


@pytest.mark.parametrize("name", ["", "Pi", "-pi", "pi_1", "pi 1", "ü", "../pi", "p" * 64, "pi\n"])
def test_an_id_that_the_contract_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="1 to 63 of a-z"):
        ClientSettings(sensors="mock", id=name)


def test_there_is_no_default_for_sensors_so_that_nobody_takes_mock_readings_for_real_ones() -> None:
    with pytest.raises(ValidationError, match="--sensors is missing: say 'linux' for real sensors or 'mock' for simulated ones"):
        ClientSettings(id="pi-1")


def test_what_contradicts_each_other_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValidationError, match="--replay is for mock sensors"):
        ClientSettings(sensors="linux", replay=Path("garden.csv"))
    with pytest.raises(ValidationError, match="--faults is for mock sensors, real ones have their own"):
        ClientSettings(sensors="linux", faults=Path("faults.toml"))
    with pytest.raises(ValidationError, match="--labels is for the label button: add --gpio"):
        ClientSettings(sensors="mock", labels="walking")
    with pytest.raises(ValidationError, match=r"write its address as https"):
        ClientSettings(sensors="mock", ca=Path("ca.pem"))


@pytest.mark.parametrize("every", ["0", "-5s", "soon", "2d", "nan"])
def test_an_interval_that_is_none_is_refused(every: str) -> None:
    with pytest.raises(ValidationError):
        ClientSettings(sensors="mock", sample_every=every)


@pytest.mark.parametrize(
    ("text", "classes"), [("", ()), ("walking", ("walking",)), (" walking, sitting ,,lying down", ("walking", "sitting", "lying down"))]
)
def test_labels_stand_between_commas(text: str, classes: tuple[str, ...]) -> None:
    assert ClientSettings(sensors="mock", gpio=True, labels=text).classes == classes


@pytest.mark.parametrize(
    ("sensors", "mode", "self_paced"),
    [("mock", "evaluation", False), ("mock", "private", True), ("linux", "evaluation", True), ("linux", "private", True)],
)
def test_only_simulated_sensors_in_evaluation_wait_for_the_server(sensors: str, mode: str, self_paced: bool) -> None:
    assert ClientSettings(sensors=sensors, mode=mode).self_paced is self_paced


def test_data_go_where_they_are_told_to_else_where_systemd_says_else_into_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/pi")
    assert ClientSettings(sensors="linux", id="pi-1").folder == Path("/home/pi/.local/share/bramble/pi-1")
    assert ClientSettings(sensors="mock", id="pi-1").folder == Path("bramble-data/pi-1")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/bramble-client:/var/lib/other")
    assert ClientSettings(sensors="mock", id="pi-1").folder == Path("/var/lib/bramble-client")
    assert ClientSettings(sensors="mock", id="pi-1", data_dir=Path("/data")).folder == Path("/data")


def test_keys_to_trust_are_a_text_or_a_list_and_make_any_client_ask_for_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ClientSettings(sensors="mock").graphs_are_checked
    assert ClientSettings(sensors="mock", mode="private").graphs_are_checked
    from_toml = ClientSettings(sensors="mock", trust_graphs=["/etc/one.pub", "ed25519:AAAA"])
    assert (from_toml.trust_graphs, from_toml.graphs_are_checked) == ("/etc/one.pub,ed25519:AAAA", True)
    monkeypatch.setenv("BRAMBLE_CLIENT_TRUST_GRAPHS", "/etc/bramble/graphs.pub")
    assert ClientSettings(sensors="mock").trust_graphs == "/etc/bramble/graphs.pub"


def test_half_of_the_machines_memory_is_for_training_unless_it_is_said_how_much() -> None:
    assert ClientSettings(sensors="mock").training_memory is None
    with pytest.raises(ValidationError, match="training_memory"):
        ClientSettings(sensors="mock", training_memory=1)
