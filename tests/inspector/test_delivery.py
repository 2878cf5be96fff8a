from __future__ import annotations

import brotli  # type: ignore[import-untyped]
import pytest
from dash import Dash
from flask.testing import FlaskClient

from bramble_inspector import delivery
from bramble_inspector.app import create_app
from bramble_inspector.settings import InspectorSettings

HERE = {"Host": "127.0.0.1", "Accept-Encoding": "gzip, deflate, br"}


@pytest.fixture(scope="module")
def app() -> Dash:
    app = create_app(InspectorSettings())
    delivery.install(app.server)
    return app


@pytest.fixture
def browser(app: Dash) -> FlaskClient:
    made: FlaskClient = app.server.test_client()
    return made


def scripts(page: str) -> list[str]:
    return [part.partition('"')[0] for part in page.split('<script src="')[1:]]


def test_scripts_come_compressed_once_for_all_under_a_name_that_is_kept_for_ever(
    browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = browser.get("/", headers=HERE)
    assert page.headers["Content-Encoding"] == "br"
    assert page.headers["Cache-Control"] == "no-store"
    small = next(path for path in scripts(brotli.decompress(page.data).decode()) if "prop-types" in path)
    first = browser.get(small, headers=HERE)
    assert first.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    monkeypatch.setattr("flask_compress.flask_compress.brotli.compress", None)
    again = browser.get(small, headers=HERE)
    assert again.data == first.data
    assert int(again.headers["Content-Length"]) == len(again.data)
    assert b"function" in brotli.decompress(again.data)


def test_who_offers_less_gets_less(browser: FlaskClient) -> None:
    assert browser.get("/", headers=HERE | {"Accept-Encoding": "gzip"}).headers["Content-Encoding"] == "gzip"
    plain = browser.get("/", headers={"Host": "127.0.0.1"})
    assert "Content-Encoding" not in plain.headers
    assert plain.text.startswith("<!DOCTYPE html>")


def test_assets_are_kept_by_the_time_of_their_change_and_asked_for_anew_without(browser: FlaskClient) -> None:
    page = browser.get("/", headers={"Host": "127.0.0.1"}).text
    style = page.split('<link rel="stylesheet" href="')[1].partition('"')[0]
    with browser.get(style, headers=HERE) as dated, browser.get("/assets/style.css", headers=HERE) as undated:
        assert "immutable" in dated.headers["Cache-Control"]
        assert dated.headers["Content-Encoding"] == "br"
        assert "immutable" not in undated.headers["Cache-Control"]


def test_no_script_is_sent_that_no_page_needs(browser: FlaskClient) -> None:
    sent = scripts(browser.get("/", headers={"Host": "127.0.0.1"}).text)
    assert sent
    assert not [path for path in sent if "dash_table" in path or "plotly" in path]


def test_a_script_without_a_version_in_its_name_is_kept_and_asked_about(browser: FlaskClient) -> None:
    path = "/_dash-component-suites/dash/dcc/async-graph.js"
    first = browser.get(path, headers=HERE)
    assert first.headers["Cache-Control"] == "no-cache"
    again = browser.get(path, headers=HERE | {"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
