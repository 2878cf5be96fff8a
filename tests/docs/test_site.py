"""The pages: whatever they point to is there, nothing comes from elsewhere, and a browser shows them."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from tests.server.process import ServerProcess

ROOT = Path(__file__).parents[2]
BUILD = [str(Path(sys.executable).with_name("zensical")), "build", "--clean", "--strict"]


@pytest.fixture(scope="module")
def site() -> Path:
    done = subprocess.run(BUILD, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "site"


class Page(HTMLParser):
    """What a page points to, loads, and can be pointed to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.anchors: set[str] = set()
        self.paragraphs: list[str] = []
        self._depth = 0
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        elif tag == "link" and given.get("rel") not in ("next", "prev", "canonical"):
            self.loaded.add(given["href"])
        self.loaded |= {given["src"]} if "src" in given else set()
        if tag == "p":
            self.paragraphs.append("")
        self._depth += tag in ("code", "pre")

    def handle_endtag(self, tag: str) -> None:
        self._depth -= tag in ("code", "pre")

    def handle_data(self, text: str) -> None:
        if self.paragraphs and not self._depth:
            self.paragraphs[-1] += text


def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_make_docs_is_what_is_tested() -> None:
    said = subprocess.run(["make", "-n", "docs"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert said.strip().endswith(" ".join([".venv/bin/zensical", *BUILD[1:]]))


def test_every_page_is_in_the_menu() -> None:
    def targets(entries: list[dict[str, Any]]) -> Iterator[str]:
        for entry in entries:
            for target in entry.values():
                yield from [target] if isinstance(target, str) else targets(target)

    menu = set(targets(tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]["nav"]))
    assert menu == {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}


def test_every_link_leads_somewhere(site: Path) -> None:
    found = pages(site)
    assert len(found) > 10
    wrong = []
    for path, page in found.items():
        # The page of errors is served at any depth, so its links begin at the root.
        for link in page.links | page.loaded:
            target, anchor = urldefrag(unquote(link))
            if urlsplit(link).scheme or not (target or anchor):
                continue
            to = (site / target.lstrip("/") if target.startswith("/") else path.parent / target).resolve() if target else path
            to = to / "index.html" if to.is_dir() else to
            if not to.is_relative_to(site) or not to.exists() or (anchor and to in found and anchor not in found[to].anchors):
                wrong.append(f"{path.relative_to(site)}: {link}")
    assert not wrong


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path, page in pages(site).items():
        assert not [link for link in page.loaded if urlsplit(link).netloc], path
    for path in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']*", path.read_text("utf-8")), path


def test_no_list_and_no_code_stays_text(site: Path) -> None:
    for path, page in pages(site).items():
        for paragraph in page.paragraphs:
            stayed = re.search(r"^\s*(?:[*-]|\d+\.) |```|\|--", paragraph, re.M)
            assert not stayed, f"{path}: it wants an empty line, or four blanks: {paragraph}"


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("http-client", ["bramble.api.Server", "bramble.api.Server.rollback", "bramble.api.ServerRefused"]),
        (
            "sensors",
            ["bramble_client.hal.open_board", "bramble_client.hal.drivers.base.Driver.read", "bramble_client.hal.contract.DriverContract"],
        ),
        (
            "strategies",
            [
                "bramble_server.learning.strategies.Strategy.fold",
                "bramble_server.learning.strategies.fedavg.FedAvg",
                "bramble_server.learning.strategies.create",
            ],
        ),
        ("tasks", ["bramble_server.tasks.base.Task.forecast", "bramble_protocol.graph.Manifest"]),
        (
            "messages",
            [
                "bramble_protocol.VERSION",
                "bramble_protocol.messages.Handshake.from_wire",
                "bramble_protocol.codecs.decode",
                "bramble_protocol.layout.Layout",
            ],
        ),
    ],
)
def test_what_others_program_against_is_in_the_reference(site: Path, page: str, names: list[str]) -> None:
    assert set(names) <= Page(site / "reference" / page / "index.html").anchors


NOWHERE = {
    "[gone](nowhere.md)": "page does not exist",
    "[gone](trust.md#nowhere)": "anchor does not exist",
    "::: bramble_protocol.nowhere": "bramble_protocol.nowhere could not be found",
}


def test_what_leads_nowhere_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "protocol").symlink_to(ROOT / "protocol")
    shutil.copy2(ROOT / "docs" / "trust.md", tmp_path / "docs")
    (tmp_path / "docs" / "operations.md").write_text("# Operations\n\n## A graph of your own\n")
    (tmp_path / "docs" / "index.md").write_text("\n\n".join(["# Pages", *NOWHERE]))
    settings = (ROOT / "zensical.toml").read_text("utf-8")
    (tmp_path / "zensical.toml").write_text(re.sub(r"^nav = \[\n.*?^\]\n", "", settings, flags=re.M | re.S))
    done = subprocess.run(BUILD, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    for line, said in NOWHERE.items():
        assert said in done.stdout + done.stderr, line


def test_the_example_of_the_http_client_runs(tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "reference" / "http-client.md").read_text("utf-8"), re.S)
    with ServerProcess(tmp_path) as server:
        code = code.replace("http://127.0.0.1:5000", server.url)
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "evaluation []\n"


@pytest.mark.browser
def test_a_browser_shows_and_searches_them_and_asks_nobody_else(site: Path, browser: Any) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *what: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    page, asked, errors = browser.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    try:
        page.goto(url)
        page.get_by_role("link", name="Messages", exact=True).first.click()
        page.get_by_role("heading", name="Messages", level=1).wait_for()
        with page.expect_response("**/search.json"):
            page.goto(url)
        page.get_by_role("button", name="Search").first.click()
        page.get_by_role("textbox").or_(page.get_by_role("searchbox")).or_(page.get_by_role("combobox")).first.fill("proximal")
        page.get_by_text("FedProx's mu").first.wait_for()
        assert page.evaluate("document.fonts.size") == 0
    finally:
        page.close()
        server.shutdown()
        server.server_close()
    assert not errors
    assert asked
    assert not [address for address in asked if not address.startswith((url, "data:", "blob:"))]
