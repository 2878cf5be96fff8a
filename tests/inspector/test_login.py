from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import expect

from bramble_inspector import accounts
from bramble_inspector.app import create_app
from bramble_inspector.login import BURST
from bramble_inspector.settings import InspectorSettings
from tests.inspector.conftest import Watched
from tests.inspector.standin import Standin

SECRET = "correct horse battery"
PAGE = {"Host": "127.0.0.1", "Accept": "text/html"}
SCRIPT = {"Host": "127.0.0.1", "Accept": "application/json"}


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("login") / "users.toml"
    hashed = accounts.entry("anna", SECRET, "admin")
    path.write_text("\n".join(hashed.replace("anna", name).replace("admin", scope) for name, scope in ROLES.items()))
    return path


ROLES = {"anna": "admin", "ben": "operate", "clara": "read"}


@pytest.fixture
def browser_of(users: Path, standin: Standin) -> Callable[..., FlaskClient]:
    def made(**settings: Any) -> FlaskClient:
        client: FlaskClient = create_app(InspectorSettings(server=standin.url, **{"users": users, **settings})).server.test_client()
        return client

    return made


def log_in(browser: FlaskClient, name: str = "anna", password: str = SECRET, headers: dict[str, str] = PAGE, **form: str) -> Any:
    return browser.post("/login", data={"name": name, "password": password, **form}, headers=headers)


def test_a_page_is_shown_after_the_login_that_it_asked_for(browser_of: Callable[..., FlaskClient]) -> None:
    browser = browser_of()
    asked = browser.get("/?task=climate", headers=PAGE)
    assert (asked.status_code, asked.headers["Location"]) == (302, "/login?next=%2F%3Ftask%3Dclimate")
    form = browser.get(asked.headers["Location"], headers=PAGE)
    assert 'value="/?task=climate"' in form.text
    done = log_in(browser, next="/?task=climate")
    assert (done.status_code, done.headers["Location"]) == (302, "/?task=climate")
    assert "HttpOnly" in done.headers["Set-Cookie"]
    assert "SameSite=Lax" in done.headers["Set-Cookie"]
    assert browser.get("/", headers=PAGE).status_code == 200
    assert browser.get("/login", headers=PAGE).headers["Location"] == "/"
    out = browser.post("/logout", headers=PAGE)
    assert out.headers["Location"] == "/login"
    assert browser.get("/", headers=PAGE).status_code == 302


@pytest.mark.parametrize("elsewhere", ["//evil.example/", "https://evil.example/", "/\\evil.example", "/\n/evil.example", ""])
def test_a_login_leads_nowhere_else(browser_of: Callable[..., FlaskClient], elsewhere: str) -> None:
    assert log_in(browser_of(), next=elsewhere).headers["Location"] == "/"


def test_without_a_session_nothing_of_the_fleet_is_told(browser_of: Callable[..., FlaskClient]) -> None:
    browser = browser_of()
    for method, path in (
        ("GET", "/_dash-layout"),
        ("GET", "/_dash-dependencies"),
        ("POST", "/_dash-update-component"),
        ("GET", "/nowhere"),
    ):
        reply = browser.open(path, method=method, headers=SCRIPT)
        assert (reply.status_code, reply.headers["Bramble-Login"]) == (403, "/login")
    for path in ("/assets/style.css", "/_alive"):
        with browser.get(path, headers=SCRIPT) as told:
            assert told.status_code < 300


def test_wrong_passwords_are_logged_and_soon_not_looked_at(
    browser_of: Callable[..., FlaskClient], caplog: pytest.LogCaptureFixture
) -> None:
    browser = browser_of()
    for name in ("anna", "nobody\n", "", "x" * 1000, "ben"):
        assert log_in(browser, name, "wrong", SCRIPT).get_json() == {"error": "Name and password do not fit."}
    assert caplog.text.count("refused: name and password do not fit") == BURST
    assert "wrong" not in caplog.text
    refused = log_in(browser)
    assert (refused.status_code, "try again in" in refused.text) == (429, True)
    assert int(refused.headers["Retry-After"]) > 0


def test_a_cookie_goes_over_tls_alone_where_there_is_tls_and_to_this_page_alone(browser_of: Callable[..., FlaskClient]) -> None:
    browser = browser_of(host="0.0.0.0", proxies=1, prefix="/fleet", port=8051)
    cookie = browser.post("/fleet/login", data={"name": "anna", "password": SECRET}, headers=PAGE).headers["Set-Cookie"]
    assert cookie.startswith("bramble-8051=")
    assert "; Secure" in cookie
    assert "Path=/fleet/" in cookie


def test_behind_a_proxy_whoever_it_names_is_throttled_and_nobody_else(browser_of: Callable[..., FlaskClient]) -> None:
    browser = browser_of(proxies=1)
    for _ in range(BURST + 1):
        last = log_in(browser, password="wrong", headers=SCRIPT | {"X-Forwarded-For": "10.0.0.1"})
    assert last.status_code == 429
    assert log_in(browser, headers=SCRIPT | {"X-Forwarded-For": "10.0.0.2"}).status_code == 200


def press(browser: FlaskClient, button: str) -> str:
    """Press a button of the page as its script does; return what the page says."""
    (callback,) = (
        one
        for one in browser.get("/_dash-dependencies", headers=SCRIPT).get_json()
        if any(part == {"id": button, "property": "n_clicks"} for part in one["inputs"])
    )
    given = {"shown": {"task": "climate", "tasks": ["climate"]}, "count": 3}
    outputs = [dict(zip(("id", "property"), part.rsplit(".", 1), strict=True)) for part in callback["output"].strip(".").split("...")]
    reply = browser.post(
        "/_dash-update-component",
        headers=SCRIPT,
        json={
            "output": callback["output"],
            "outputs": outputs if callback["output"].startswith("..") else outputs[0],
            "inputs": [{**part, "value": 1} for part in callback["inputs"]],
            "state": [{**part, "value": given.get(part["id"])} for part in callback["state"]],
            "changedPropIds": [f"{button}.n_clicks"],
        },
    )
    return reply.text


@pytest.mark.parametrize("who", list(ROLES))
def test_everybody_may_do_what_the_scope_opens(browser_of: Callable[..., FlaskClient], standin: Standin, who: str) -> None:
    standin.add_clients("a", "b")
    standin.answers["POST", "/"] = (202, {"round": 1, "clients": ["a", "b"]})
    standin.answers["POST", "/reset"] = (200, {"clients": 2})
    browser = browser_of()
    log_in(browser, who)
    may = accounts.ROLES.index(ROLES[who])
    assert ("started with 2 clients" in press(browser, "start")) == (may >= 1)
    assert ("may not do this; it takes the scope admin" in press(browser, "reset-confirm")) == (may < 2)
    asked = [path for method, path, _ in standin.asked if method == "POST"]
    assert asked == ["/", "/reset"][:may], "the server is not even asked"


@pytest.mark.browser
def test_a_session_that_ends_under_an_open_page_is_said_and_taken_up_again_on_the_spot(
    inspect: Callable[..., str], standin: Standin, users: Path, watched: Watched
) -> None:
    standin.add_clients("a", "b")
    standin.add_readings(40)
    page = watched.page
    page.goto(inspect(standin.url, users=users))
    page.get_by_label("Name").fill("ben")
    page.get_by_label("Password").fill("wrong wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("Name and password do not fit.")
    page.get_by_label("Name").fill("ben")
    page.get_by_label("Password").fill(SECRET)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#account")).to_contain_text("ben")
    expect(page.locator("#start")).to_be_visible()
    expect(page.locator("#reset")).to_be_hidden()
    page.context.clear_cookies()
    dialog = page.get_by_role("dialog", name="Your session has ended")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Name").fill("ben")
    dialog.get_by_label("Password").fill(SECRET)
    dialog.get_by_role("button").click()
    expect(dialog).to_be_hidden()
    standin.add_clients("a", "b", "c")
    expect(page.locator("#card-clients")).to_have_text("3")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    expected = ("status of 401", "status of 403", "log in again")  # what the browser says of it by itself
    watched.errors[:] = [error for error in watched.errors if not any(part in error for part in expected)]
