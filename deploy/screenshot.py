"""Take the pictures of docs/: run the demo until the fleet has learnt, and a fleet of thousands, and photograph the inspector.

``inspector.png`` is its page of rounds, ``inspector-client.png`` that of a client, ``inspector-fleet.png`` six sick of 2,000.

Needs Debian's chromium. Run it with ``make screenshot``, or ``python -m deploy.screenshot [--rounds 12] [--out FILE.png]``.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

ROOT = Path(__file__).parents[1]
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
SIZE: ViewportSize = {"width": 1400, "height": 1000}


def main() -> int:
    """Take the picture; return the exit code."""
    parser = argparse.ArgumentParser(description="Run the demo and take a screenshot of the inspector.")
    parser.add_argument("--rounds", type=int, default=12, help="rounds before the picture is taken")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "inspector.png", help="where it is written")
    arguments = parser.parse_args()
    if not CHROMIUM.exists():
        print(f"There is no browser at {CHROMIUM}; install it with: sudo apt install chromium", file=sys.stderr)
        return 1
    with demo(arguments.rounds) as url:
        photograph(url, arguments.rounds, arguments.out)
        client = f"{url}/client/greensboro?measure=memory_free"
        picture(client, "#client-readings .scatterlayer .trace path", beside(arguments.out, "client"))
    with running("bench.crowd") as server, running("bramble_inspector", "--server", server, "--port", "0") as url:
        picture(url, ".sick li:nth-child(6)", beside(arguments.out, "fleet"))
    return 0


def beside(path: Path, page: str) -> Path:
    """Return where the picture of another page is written."""
    return path.with_stem(f"{path.stem}-{page}")


@contextlib.contextmanager
def running(module: str, *flags: str) -> Iterator[str]:
    """Run a module that says its address; yield that."""
    with subprocess.Popen([sys.executable, "-m", module, *flags], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split(" on ")[1].strip()
        finally:
            process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def demo(rounds: int) -> Iterator[str]:
    """Run the demo; yield the inspector's address once the last round is over."""
    command = [sys.executable, "-m", "bramble", "demo", "--rounds", str(rounds), "--port", "0", "--inspector-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        url = None
        try:
            for line in process.stdout:
                print(line, end="")
                if match := re.search(r"Watch the fleet learn: (\S+)", line):
                    url = match[1]
                if url and "rounds committed" in line:
                    yield url
                    return
            raise SystemExit("The demo ended before its last round; its output above says why.")
        finally:
            process.send_signal(signal.SIGINT)


@contextlib.contextmanager
def opened(url: str) -> Iterator[Page]:
    """Yield a page of a fresh browser."""
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(profile, executable_path=CHROMIUM, args=FLAGS, viewport=SIZE)
        page = browser.pages[0]
        page.goto(url)
        yield page
        browser.close()


def photograph(url: str, rounds: int, path: Path) -> None:
    """Open the inspector and write a picture of its rounds, once it shows the last one."""
    with opened(url) as page:
        expect(page.locator("#card-round")).to_have_text(str(rounds), timeout=60_000)
        page.get_by_role("navigation").get_by_text("Rounds").click()
        for graph in ("loss", "error", "divergence"):
            expect(page.locator(f"#{graph} .scatterlayer .trace path").first).to_be_attached(timeout=60_000)
        plots = page.locator("#divergence-box").bounding_box()
        assert plots is not None
        bottom = plots["y"] + plots["height"] + 22
        page.screenshot(path=path, full_page=True, clip={"x": 0, "y": 0, "width": SIZE["width"], "height": bottom})
    print(f"wrote {path}")


def picture(url: str, shown: str, path: Path) -> None:
    """Open a page of the inspector and write what is on its first screen, once something is shown there."""
    with opened(url) as page:
        expect(page.locator(shown).first).to_be_attached(timeout=120_000)
        page.wait_for_timeout(2000)  # the rest of it
        page.screenshot(path=path)
    print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
