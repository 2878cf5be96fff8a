"""Who asks, a program or a browser: judged by the headers that each really sends."""

from __future__ import annotations

import pytest
from werkzeug.datastructures import Headers

from bramble_server.web import browsers

HOST = {"Host": "hub.local:5000"}
CHROME = {
    **HOST, "Connection": "keep-alive", "Accept-Encoding": "gzip, deflate", "Accept-Language": "en-GB,en;q=0.9",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
}  # fmt: skip
PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
PROGRAMS = {
    "curl": {**HOST, "User-Agent": "curl/8.14.1", "Accept": "*/*"},
    "curl --compressed with a token": {
        **HOST,
        "User-Agent": "curl/8.14.1",
        "Accept": "*/*",
        "Accept-Encoding": "gzip",
        "Authorization": "x",
    },
    "wget": {**HOST, "User-Agent": "Wget/1.25.0", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "Keep-Alive"},
    "requests": {**HOST, "User-Agent": "python-requests/2.32.5", "Accept-Encoding": "gzip, deflate", "Accept": "*/*"},
    "urllib": {**HOST, "User-Agent": "Python-urllib/3.11", "Accept-Encoding": "identity", "Connection": "close"},
    "HTTPie": {**HOST, "User-Agent": "HTTPie/3.2.4", "Accept": "application/json, */*;q=0.5", "Accept-Encoding": "gzip, deflate"},
    "Go": {**HOST, "User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip"},
    "axios": {**HOST, "User-Agent": "axios/1.12.2", "Accept": "application/json, text/plain, */*", "Accept-Encoding": "gzip, br"},
    "PowerShell": {**HOST, "User-Agent": "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-GB) WindowsPowerShell/5.1.26100.1"},
    "netcat": HOST,
}
BROWSERS = {
    "navigation": {**CHROME, "Accept": PAGE, "Upgrade-Insecure-Requests": "1"},
    "image": {**CHROME, "Accept": "image/avif,image/webp,image/apng,*/*;q=0.8", "Referer": "http://evil.example/"},
    "script, video or fetch without a referrer": {**CHROME, "Accept": "*/*"},
    "the same of a browser that hides its language": {**HOST, "User-Agent": CHROME["User-Agent"], "Accept": "*/*"},
    "the same of a browser that hides its name": {**HOST, "Accept-Language": "en", "Accept": "*/*"},
    "style sheet": {**HOST, "Accept": "text/css,*/*;q=0.1"},
    "image of a browser that hides everything": {**HOST, "Accept": "image/webp,*/*"},
    "events": {**HOST, "Accept": "text/event-stream"},
    "websocket": {**CHROME, "Upgrade": "websocket", "Origin": "http://evil.example"},
    "fetch to loopback": {**HOST, "Accept": "*/*", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    "navigation from the address bar": {**HOST, "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
    "prefetch": {**HOST, "Sec-Purpose": "prefetch"},
    "one with a cookie": {**HOST, "Cookie": "a=b"},
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_keeps_its_get_and_its_post(program: str) -> None:
    headers = Headers(PROGRAMS[program])
    assert browsers.telltale(headers) is None
    assert browsers.foreign(headers, "http") is None
    assert not browsers.wants_page(headers)


@pytest.mark.parametrize("browser", BROWSERS)
def test_a_browser_gives_itself_away(browser: str) -> None:
    assert browsers.telltale(Headers(BROWSERS[browser])) is not None


def test_only_who_goes_there_wants_a_page() -> None:
    assert [name for name, headers in BROWSERS.items() if browsers.wants_page(Headers(headers))] == ["navigation"]


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        ("http", {"Origin": "http://hub.local:5000"}),
        ("http", {"Origin": "http://HUB.local:5000"}),
        ("http", {"Host": "hub.local", "Origin": "http://hub.local"}),
        ("http", {"Host": "hub.local:80", "Origin": "http://hub.local"}),
        ("https", {"Host": "hub.local", "Origin": "https://hub.local:443"}),
        ("http", {"Host": "[::1]:5000", "Origin": "http://[::1]:5000"}),
        ("http", {"Origin": "https://fleet.example", "Sec-Fetch-Site": "same-origin"}),  # behind a proxy that speaks TLS
        ("http", {}),
    ],
)
def test_what_comes_from_this_servers_own_page_is_taken(scheme: str, headers: dict[str, str]) -> None:
    assert browsers.foreign(Headers({**HOST, **headers}), scheme) is None


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        ("http", {"Origin": "http://hub.local:8000"}),
        ("http", {"Origin": "http://hub.local"}),
        ("http", {"Origin": "https://hub.local:5000"}),
        ("https", {"Origin": "http://hub.local:5000"}),
        ("http", {"Origin": "http://evil.example:5000"}),
        ("http", {"Origin": "http://hub.local.evil.example:5000"}),
        ("http", {"Origin": "http://hub.local:5000@evil.example"}),
        ("http", {"Origin": "http://evil@hub.local:5000"}),
        ("http", {"Origin": "http://hub.local:5000/"}),
        ("http", {"Origin": "null"}),
        ("http", {"Origin": ""}),
        ("http", {"Origin": "http://["}),
        ("http", {"Origin": "http://hub.local:port"}),
        ("http", {"Origin": "http://hub.local:99999"}),
        ("http", {"Host": "", "Origin": "http://"}),
        ("http", {"Host": "[", "Origin": "http://["}),
        ("http", {"Sec-Fetch-Site": "same-site"}),
        ("http", {"Sec-Fetch-Site": "cross-site"}),
        ("http", {"Sec-Fetch-Site": "none"}),
        ("http", {"Sec-Fetch-Site": "same-site", "Origin": "http://hub.local:5000"}),
        ("http", {"Accept": PAGE}),
    ],
)
def test_what_comes_from_any_other_page_is_not(scheme: str, headers: dict[str, str]) -> None:
    assert browsers.foreign(Headers({**HOST, **headers}), scheme) is not None
