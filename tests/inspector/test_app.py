from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from bramble_inspector.app import create_app, run
from bramble_inspector.settings import InspectorSettings
from bramble_protocol import BrambleError
from tests import warm
from tests.http_proxy import HttpProxy
from tests.inspector.standin import Standin


def start(cleanup: ExitStack, *flags: str) -> tuple[subprocess.Popen[str], str]:
    """Run the inspector as a process; return it and its address as it says it."""
    process = warm.Popen("bramble_inspector", "--port", "0", *flags, stdout=subprocess.PIPE, text=True, cwd=warm.ROOT)
    cleanup.enter_context(process)
    cleanup.callback(process.kill)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("bramble inspector ready on http://"), line
    return process, line.removeprefix("bramble inspector ready on ").strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_its_address_serves_and_ends_cleanly_when_told(number: int, cleanup: ExitStack) -> None:
    process, url = start(cleanup)
    assert requests.get(url, timeout=60).ok
    process.send_signal(number)
    assert process.wait(60) == 0
    assert process.stdout is not None
    assert process.stdout.read() == "", "the address is the only thing on stdout"


def test_it_ends_within_seconds_though_a_page_keeps_its_connection_open(cleanup: ExitStack) -> None:
    process, url = start(cleanup)
    with requests.Session() as page:
        page.get(url, timeout=60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_it_serves_ipv6_where_it_is_told_to(cleanup: ExitStack) -> None:
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").read_text():
        pytest.skip("this machine has no IPv6")
    _, url = start(cleanup, "--host", "::1")
    assert url.startswith("http://[::1]:")
    assert requests.get(url, timeout=60).ok


def test_a_taken_port_is_one_sentence_and_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = warm.run("bramble_inspector", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "Address already in use); choose another --host or --port." in done.stderr


def test_a_host_that_is_none_is_named() -> None:
    with pytest.raises(BrambleError, match=r"choose another --host or --port\."):
        run(InspectorSettings(host="256.1.1.1", without_login=True))


@pytest.mark.parametrize("content", [None, "", "two words\n", b"\xff\xfe"])
def test_a_token_file_that_holds_no_token_is_named(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BrambleError, match=str(path)):
        create_app(InspectorSettings(token_file=path))


def test_an_authority_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BrambleError, match="check --ca"):
        create_app(InspectorSettings(ca=tmp_path / "ca.pem"))


def test_serving_beyond_loopback_without_a_login_is_said_loudly(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble_inspector.serving.PageServer.serve", lambda self: self.stop())
    assert run(InspectorSettings(host="0.0.0.0", port=0, without_login=True)) == 0
    assert "the page has no login" in caplog.text
    caplog.clear()
    assert run(InspectorSettings(port=0)) == 0
    assert caplog.text == ""


def test_nothing_the_page_can_read_holds_the_token(standin: Standin, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    standin.token = "s3cret-t0ken"
    standin.add_clients("a")
    (tmp_path / "token").write_text("s3cret-t0ken\n")
    app = create_app(InspectorSettings(server=standin.url, token_file=tmp_path / "token"))
    browser = app.server.test_client()
    here = {"Host": "127.0.0.1"}
    pages = []
    for path in ("/", "/_dash-layout", "/_dash-dependencies", "/assets/clock.js"):
        with browser.get(path, headers=here) as page:
            pages.append(page.text)
    answer = browser.post("/_dash-update-component", headers=here, json=refresh(browser, "summary.children"))
    assert answer.status_code == 200
    assert json.loads(answer.text)["response"]["summary"]["children"], "the token opened the server"
    assert all("s3cret" not in text for text in [*pages, answer.text, caplog.text])


def refresh(browser: FlaskClient, part: str) -> dict[str, Any]:
    """The request that a page sends to learn what is new of it; ``part`` is one of its outputs."""
    dependencies: list[dict[str, Any]] = browser.get("/_dash-dependencies", headers={"Host": "127.0.0.1"}).json  # type: ignore[assignment]
    (callback,) = (entry for entry in dependencies if part in entry["output"])
    parts = callback["output"].strip(".").split("...")
    outputs = [{"id": part.rsplit(".", 1)[0], "property": part.rsplit(".", 1)[1]} for part in parts]
    return {
        "output": callback["output"],
        "outputs": [{**one, "id": json.loads(one["id"]) if one["id"].startswith("{") else one["id"]} for one in outputs],
        "inputs": [{**one, "value": 0 if one["id"] == "ask" else None} for one in callback["inputs"]],
        "state": [{**one, "value": None} for one in callback["state"]],
        "changedPropIds": ["ask.data"],
    }


def test_whether_the_page_has_anything_to_show_is_one_question(standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(url: str) -> tuple[int, str | None]:
        answer = create_app(InspectorSettings(server=url)).server.test_client().get("/_ready")
        return answer.status_code, answer.get_json()["error"]

    assert asked(standin.url) == (200, None)
    status, why = asked("http://127.0.0.1:1")
    assert (status, str(why)[:17]) == (503, "No server answers")
    monkeypatch.setattr("bramble_inspector.header.summary", lambda snapshot: 1 / 0)
    assert asked(standin.url) == (503, "The page cannot be drawn (ZeroDivisionError); the journal says where.")


def test_every_asset_is_served_from_here(standin: Standin) -> None:
    browser = create_app(InspectorSettings(server=standin.url)).server.test_client()
    text = browser.get("/", headers={"Host": "127.0.0.1"}).text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


def test_the_machinery_that_runs_code_for_developers_is_off(standin: Standin) -> None:
    browser = create_app(InspectorSettings(server=standin.url)).server.test_client()
    for path in ("/_mcp", "/_reload-hash"):
        reply = browser.post(path, headers={"Host": "127.0.0.1"}, json={})
        assert reply.status_code in (404, 405) or b"MCP" not in reply.data
    assert not os.environ.get("DASH_DEBUG")


@pytest.mark.parametrize("strip", [True, False], ids=["a proxy that takes the path away", "a proxy that leaves it"])
def test_it_serves_under_a_path_of_its_host(cleanup: ExitStack, strip: bool) -> None:
    _, url = start(cleanup, "--prefix", "/labs/fleet/")
    assert url.endswith("/labs/fleet")
    port = int(url.rsplit(":", 1)[1].partition("/")[0])
    front = cleanup.enter_context(HttpProxy(port, prefix="/labs/fleet", strip=strip))
    page = requests.get(f"{front.url}/labs/fleet/", timeout=60)
    assert page.ok
    scripts = re.findall(r'<script src="([^"]+)"', page.text)
    assert scripts
    assert all(script.startswith("/labs/fleet/") for script in scripts)
    assert requests.get(front.url + scripts[0], timeout=60).ok
    assert requests.get(f"{front.url}/labs/fleet/assets/bramble.svg", timeout=60).ok
    assert requests.get(f"{front.url}/labs/fleet/_dash-layout", timeout=60).ok


def test_a_prefix_without_its_slash_leads_to_the_page(cleanup: ExitStack) -> None:
    _, url = start(cleanup, "--prefix", "/fleet")
    moved = requests.get(url, timeout=60, allow_redirects=False)
    assert (moved.status_code, moved.headers["Location"]) == (308, "/fleet/")
