"""What the pages and manuals say is in a file, is in a file that is there: files move, and prose does not notice."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = set(subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())
PAGES = sorted(file for file in FILES if file.endswith(".md") and not file.startswith(("ansible/collections/", ".github/")))
TOPS = ("bramble/", "server/", "edge_client/", "inspector/", "protocol/", "ansible/", "systemd/", "tests/", "bench/", "docs/", "deploy/")
TO_BE_WRITTEN = {
    "server/bramble_server/learning/strategies/fedavgm.py",
    "server/bramble_server/learning/strategies/fedfade.py",
    "server/bramble_server/tasks/humidity.py",
    "tests/test_acme.py",
    "inspector/bramble_inspector/figures/NAME.py",
}
"""What a reader of a page is to write."""


def there(path: str) -> bool:
    return path in FILES or path in TO_BE_WRITTEN or any(file.startswith(path.rstrip("/") + "/") for file in FILES)


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_are_there(page: str) -> None:
    named = re.findall(r"`([\w./-]+(?:\.(?:py|txt|toml|md|yml|csv|js)|/))`", (ROOT / page).read_text("utf-8"))
    missing = [path for path in named if path.startswith(TOPS) and not there(path)]
    assert missing == []


def test_a_file_named_after_another_lies_in_the_same_folder() -> None:
    rows = [line for line in (ROOT / "docs/architecture.md").read_text("utf-8").splitlines() if line.startswith("|")]
    for row in rows:
        folder = ""
        for path in re.findall(r"`([\w./-]+\.py)`", row):
            folder = path.rpartition("/")[0] or folder
            assert there(f"{folder}/{path.rpartition('/')[2]}"), row
