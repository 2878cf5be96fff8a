"""Take docs/inspector.png: run the demo, wait until the fleet has learnt, and photograph the inspector.

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

from playwright.sync_api import ViewportSize, expect, sync_playwright

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
    print(f"wrote {arguments.out}")
    return 0


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


def photograph(url: str, rounds: int, path: Path) -> None:
    """Open the inspector and write a picture of it, once it shows the last round."""
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(profile, executable_path=CHROMIUM, args=FLAGS, viewport=SIZE)
        page = browser.pages[0]
        page.goto(url)
        expect(page.locator("#card-round")).to_have_text(str(rounds), timeout=60_000)
        page.get_by_role("navigation").get_by_text("Rounds").click()
        for graph in ("loss", "error", "divergence"):
            expect(page.locator(f"#{graph} .scatterlayer .trace path").first).to_be_attached(timeout=60_000)
        plots = page.locator("#divergence-box").bounding_box()
        assert plots is not None
        bottom = plots["y"] + plots["height"] + 22
        page.screenshot(path=path, full_page=True, clip={"x": 0, "y": 0, "width": SIZE["width"], "height": bottom})
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
