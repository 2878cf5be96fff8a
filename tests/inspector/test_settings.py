from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bramble_inspector.settings import InspectorSettings


def test_by_default_it_looks_at_this_machines_server_and_serves_this_machine_alone() -> None:
    settings = InspectorSettings()
    assert (settings.server, settings.host, settings.port) == ("http://127.0.0.1:5000", "127.0.0.1", 8050)


def test_the_environment_sets_what_a_flag_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAMBLE_INSPECTOR_SERVER", "https://bramble.local:5000/")
    monkeypatch.setenv("BRAMBLE_INSPECTOR_TOKEN_FILE", "/etc/bramble/token")
    settings = InspectorSettings()
    assert settings.server == "https://bramble.local:5000"
    assert settings.token_file == Path("/etc/bramble/token")


@pytest.mark.parametrize("address", ["127.0.0.1:5000", "ftp://pi", "http://", "http://pi/?a=1", "", "pi"])
def test_what_is_no_address_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(ValidationError, match=r"expected the server's address, such as http://192\.168"):
        InspectorSettings(server=address)


def test_a_password_in_the_address_is_refused_because_the_page_shows_the_address() -> None:
    with pytest.raises(ValidationError, match="give a token with --token-file"):
        InspectorSettings(server="http://me:secret@pi:5000")


@pytest.mark.parametrize("field", ["port", "interval", "timeout", "history"])
def test_absurd_numbers_are_refused(field: str) -> None:
    absurd: dict[str, Any] = {field: -1}
    with pytest.raises(ValidationError, match=field):
        InspectorSettings(**absurd)


def test_every_setting_explains_itself() -> None:
    assert all(field.description for field in InspectorSettings.model_fields.values())


@pytest.mark.parametrize("prefix", ["fleet", "/a b", "/fleet?x", "http://host/fleet"])
def test_a_prefix_that_is_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(ValidationError, match="is not a path; write it like /fleet"):
        InspectorSettings(prefix=prefix)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "0.0.0.0"}, "everybody's reach: have people log in"),
        ({"host": "fleet.example", "login": True}, "passwords would cross the network"),
        ({"login": True, "without_login": True}, "--without-login contradicts"),
        ({"tls_cert": "a.pem"}, "belong together"),
    ],
)
def test_what_would_leave_the_page_or_its_passwords_open_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        InspectorSettings(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"host": "::1"},
        {"host": "localhost", "login": True},
        {"host": "::", "users": "users.toml", "proxies": 1},
        {"host": "10.0.0.1", "login": True, "tls_cert": "a.pem", "tls_key": "a.key"},
        {"host": "10.0.0.1", "without_login": True},
    ],
)
def test_what_keeps_them_is_not(given: dict[str, Any]) -> None:
    assert InspectorSettings(**given).host == given["host"]
