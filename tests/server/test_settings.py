"""Settings: durations, defaults, and what does not fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bramble_server import app
from bramble_server.app import warn_if_open, warn_if_the_clock_may_be_wrong
from bramble_server.settings import ServerSettings


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("BRAMBLE_")]:
        monkeypatch.delenv(name)


def test_the_defaults_serve_one_machine_and_nobody_else() -> None:
    settings = ServerSettings()
    assert (settings.host, settings.port, settings.mode, settings.task) == ("127.0.0.1", 5000, "evaluation", ("climate",))
    assert (settings.min_clients, settings.min_updates, settings.deadline) == (2, 1, 60.0)
    assert (settings.rounds, settings.every, settings.tokens) == (None, None, None)
    assert settings.scheme == "http"


@pytest.mark.parametrize(
    ("host", "open_to_others"),
    [
        ("0.0.0.0", True),
        ("::", True),
        ("192.168.1.7", True),
        ("hub.local", True),
        ("", True),
        ("127.0.0.1", False),
        ("127.0.0.2", False),
        ("::1", False),
        ("localhost", False),
    ],
)
def test_a_server_that_a_network_reaches_without_tokens_warns_loudly(
    host: str, open_to_others: bool, caplog: pytest.LogCaptureFixture
) -> None:
    warn_if_open(ServerSettings(host=host, tokens=Path("tokens.toml")))
    assert caplog.text == ""
    warn_if_open(ServerSettings(host=host))
    assert ("ANYBODY who can reach this machine" in caplog.text) == open_to_others


def test_a_server_says_so_while_no_time_server_has_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mark = tmp_path / "timesync" / "synchronized"
    monkeypatch.setattr(app, "TIMESYNCD", mark)
    warn_if_the_clock_may_be_wrong()  # something else keeps the time, or nothing that could be asked
    assert caplog.text == ""
    mark.parent.mkdir()
    warn_if_the_clock_may_be_wrong()
    assert "clock is not known to be right" in caplog.text
    caplog.clear()
    mark.touch()
    warn_if_the_clock_may_be_wrong()
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("given", "clients", "updates"),
    [
        ({}, 2, 1),
        ({"min_updates": "5"}, 5, 5),
        ({"min_clients": 7}, 7, 1),
        ({"mode": "private"}, 3, 3),
        ({"mode": "private", "min_updates": 2}, 2, 2),
        ({"mode": "private", "min_clients": "4"}, 4, 3),
    ],
)
def test_how_many_clients_and_updates_a_round_needs_fits_together(given: dict[str, Any], clients: int, updates: int) -> None:
    settings = ServerSettings(**given)
    assert (settings.min_clients, settings.min_updates) == (clients, updates)


def test_private_modes_numbers_hold_wherever_it_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAMBLE_SERVER_MODE", "private")
    assert (ServerSettings().min_clients, ServerSettings().min_updates) == (3, 3)
    monkeypatch.setenv("BRAMBLE_SERVER_MIN_UPDATES", "1")
    with pytest.raises(ValidationError, match="--min-updates 1 would publish"):
        ServerSettings()


@pytest.mark.parametrize(
    ("given", "seconds"), [("90", 90.0), ("90s", 90.0), ("10m", 600.0), ("1.5h", 5400.0), (" 2 m ", 120.0), ("1d", 86400.0), (45, 45.0)]
)
def test_durations_are_written_as_people_write_them(given: Any, seconds: float) -> None:
    assert ServerSettings(every=given).every == seconds


@pytest.mark.parametrize("given", ["soon", "10 minutes", "-5s", "0", "m", "", "1e3", "nan", "1h30m"])
def test_a_malformed_duration_is_refused(given: str) -> None:
    with pytest.raises(ValidationError, match=r"every|duration|greater"):
        ServerSettings(every=given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"rounds": 3, "every": "10m"}, "--rounds and --every exclude each other"),
        ({"tls_cert": Path("cert.pem")}, "--tls-cert and --tls-key belong together"),
        ({"tls_key": Path("key.pem")}, "--tls-cert and --tls-key belong together"),
        ({"min_updates": 3, "min_clients": 2}, "--min-updates 3 is more than --min-clients 2"),
        ({"mode": "private", "min_updates": 1}, "--min-updates 1 would publish one client's weights as the model"),
        ({"mode": "private", "min_updates": "1", "min_clients": 5}, "in private mode say 2, or leave it at 3"),
        ({"mode": "private", "min_clients": 2}, "with two clients alone, say --min-updates 2"),
        ({"secure": True, "evaluate_every": "10"}, "--evaluate-every has single clients tell what they find"),
        ({"secure": True, "clients_per_round": 5, "over_selection": 1.5}, "--over-selection is of no use with --secure"),
        ({"roll": Path("roll")}, "--roll is for secure rounds"),
        ({"secure": True, "min_updates": 5, "min_clients": 4}, "--min-updates 5 is more than --min-clients 4"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_with_the_remedy(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ServerSettings(**given)


@pytest.mark.parametrize(
    "given",
    [{"port": 65536}, {"port": -1}, {"mode": "open"}, {"min_clients": 0}, {"deadline": 0}, {"keep_models": 0}, {"encoding": "int4"}],
)
def test_values_out_of_range_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(given))):
        ServerSettings(**given)


def test_a_time_without_its_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="data_start"):
        ServerSettings(data_start="2023-01-01T00:00")


@pytest.mark.parametrize(
    ("mode", "allowed", "welcome"),
    [
        ("evaluation", None, True),
        ("private", None, False),
        ("evaluation", False, False),
        ("private", True, True),
    ],
)
def test_mock_sensors_are_welcome_in_evaluation_mode_unless_told_otherwise(mode: Any, allowed: bool | None, welcome: bool) -> None:
    assert ServerSettings(mode=mode, allow_simulated=allowed).simulated_welcome is welcome


def test_the_environment_sets_what_flags_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAMBLE_SERVER_MIN_CLIENTS", "7")
    monkeypatch.setenv("BRAMBLE_SERVER_DEADLINE", "2m")
    settings = ServerSettings(min_clients=3)
    assert (settings.min_clients, settings.deadline) == (3, 120.0)


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in ServerSettings.model_fields.values())
