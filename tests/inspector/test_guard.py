from __future__ import annotations

import socket

import pytest
from flask import Flask
from flask.testing import FlaskClient

from bramble_inspector import guard
from bramble_protocol.origins import KnownHosts

HERE = "127.0.0.1:8050"


def client_of(host: str = "127.0.0.1", more: str = "") -> FlaskClient:
    app = Flask("test")
    guard.install(app, KnownHosts(f"{host},{more}"), lambda: ["'sha256-abc'"])

    @app.route("/", methods=["GET", "POST"])
    def page() -> str:
        return "the page"

    return app.test_client()


def status(client: FlaskClient, method: str = "POST", host: str = HERE, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.open("/", method=method, headers={"Host": host, **named}).status_code


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8050", "localhost", "LOCALHOST:8050", "[::1]:8050", "192.168.1.20:8050", "bramble.local", socket.gethostname().lower()],
)
def test_this_machines_names_and_plain_addresses_are_answered(host: str) -> None:
    assert status(client_of(), "GET", host) == 200


@pytest.mark.parametrize("host", ["evil.example:8050", "127.0.0.1.evil.example", "localhost.evil.example", "", "]", "[::1", "a:b:c"])
def test_a_foreign_name_for_this_machine_is_refused(host: str) -> None:
    assert status(client_of(), "GET", host) == 403


def test_a_name_can_be_allowed() -> None:
    assert status(client_of(more="fleet.example, other.example"), "GET", "fleet.example:80") == 200
    assert status(client_of(host="fleet.example"), "GET", "fleet.example") == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_from_another_page_is_refused(site: str) -> None:
    assert status(client_of(), Sec_Fetch_Site=site, Sec_Fetch_Mode="cors") == 403
    assert status(client_of(), Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors") == 403
    assert status(client_of(), "GET", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors") == 403


def test_a_form_posted_from_another_site_is_refused_though_it_navigates() -> None:
    assert status(client_of(), Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate") == 403


def test_a_link_from_another_site_may_open_the_page() -> None:
    assert status(client_of(), "GET", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate") == 200


def test_the_page_itself_may_ask() -> None:
    assert status(client_of(), Sec_Fetch_Site="same-origin", Origin=f"http://{HERE}") == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:3000", "null", "http://localhost:8050"])
def test_a_browser_without_fetch_metadata_is_judged_by_its_origin(origin: str) -> None:
    assert status(client_of(), Origin=origin) == 403


def test_the_refusal_is_a_sentence_that_names_the_remedy() -> None:
    reply = client_of().get("/", headers={"Host": "fleet.example"})
    assert reply.json == {"error": "Host 'fleet.example' is not a name of this inspector; add it with --allowed-hosts if it should be."}


def test_the_page_may_not_be_framed_nor_fetch_from_elsewhere() -> None:
    headers = client_of().get("/", headers={"Host": HERE}).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'; script-src 'self' 'sha256-abc';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "null", "\xf8"])
def test_an_origin_that_is_none_is_refused_and_breaks_nothing(origin: str) -> None:
    assert status(client_of(), Origin=origin) == 403
