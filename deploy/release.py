"""Build what is published, the sdist and the wheel, into dist/, and with ``--tag`` make a release of it: ``make dist``, ``make release``.

Both are built from a copy of what git knows, so that nothing that lies about in the folder, or is left of an earlier build,
gets into them, and with this environment's hatchling, which constraints.txt pins.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path


class CannotRelease(Exception):
    """Why there is no release; the text is one sentence with the remedy."""


def main() -> int:
    """Build, and tag if that is asked for; return the exit code."""
    parser = argparse.ArgumentParser(description="Build the sdist and the wheel of the project in this folder into dist/.")
    parser.add_argument("--tag", action="store_true", help="make it a release: check the tree and the changelog, and tag the commit")
    arguments = parser.parse_args()
    root = Path.cwd()
    version = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    try:
        if arguments.tag:
            check_releasable(root, version)
        built = build(root)
        if arguments.tag:
            git(root, "tag", "--annotate", f"v{version}", "--message", f"Bramble {version}")
    except CannotRelease as error:
        print(error, file=sys.stderr)
        return 1
    for path in built:
        print(f"built {path.relative_to(root)}")
    if arguments.tag:
        print(f"tagged v{version}; to publish: git push origin v{version} && twine upload dist/bramble_fl-{version}[.-]*")
    return 0


def check_releasable(root: Path, version: str) -> None:
    """Check that what git has is what is here, and that this version is described and new.

    Raises
    ------
    CannotRelease
        If it is not.
    """
    if changed := git(root, "status", "--porcelain").splitlines():
        raise CannotRelease(f"The tree is not clean ({changed[0][3:]}{_and_more(changed)}); commit, stash or remove that first.")
    entry = re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)", _changelog(root), re.M | re.S)
    if not entry or not re.search(r"^- ", entry[1], re.M):
        raise CannotRelease(
            f"CHANGELOG.md has no entry for {version}, the version in pyproject.toml; "
            f"put a heading '## [{version}] - YYYY-MM-DD' above the lines that are in it."
        )
    if git(root, "tag", "--list", f"v{version}"):
        raise CannotRelease(f"v{version} is tagged already; raise the version in pyproject.toml.")


def build(root: Path) -> list[Path]:
    """Build the sdist, and from it the wheel, check both, and put them into dist/; whatever fails leaves dist/ as it was.

    Raises
    ------
    CannotRelease
        If they cannot be built, or an index would not take them.
    """
    with tempfile.TemporaryDirectory() as name:
        source, made = Path(name) / "source", Path(name) / "dist"
        for line in git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0"):
            if line and (root / line).is_file():
                (source / line).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / line, source / line)
        _run("Building", [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(made), str(source)])
        built = sorted(made.iterdir())
        _run("Checking what was built", [sys.executable, "-m", "twine", "check", "--strict", *map(str, built)])
        (root / "dist").mkdir(exist_ok=True)
        return [Path(shutil.move(path, root / "dist" / path.name)) for path in built]


def git(root: Path, *arguments: str) -> str:
    """Run git there and return what it says.

    Raises
    ------
    CannotRelease
        In git's own words.
    """
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise CannotRelease(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def _changelog(root: Path) -> str:
    return (root / "CHANGELOG.md").read_text("utf-8")


def _and_more(lines: list[str]) -> str:
    return f" and {len(lines) - 1} more" if len(lines) > 1 else ""


def _run(what: str, command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise CannotRelease(f"{what} failed:\n{done.stdout.strip()}")


if __name__ == "__main__":
    sys.exit(main())
