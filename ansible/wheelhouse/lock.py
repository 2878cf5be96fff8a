"""Make every lock file again: ``python -m wheelhouse.lock [component-target ...]``, with a network.

pip resolves for another Python and platform, but evaluates environment markers for the one it runs on; ``RESOLVE`` makes it
see the target instead.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from wheelhouse import locks
from wheelhouse.build import ROOT, build_wheel
from wheelhouse.locks import Wheel
from wheelhouse.targets import COMPONENTS, EXTRAS, Target

BOOKWORM = {"cryptography": "38.0.4", "numpy": "1.26.4"}
"""Versions that stand for Debian's own while pip resolves."""
RESOLVE = """
import json, sys
from pip._internal.cli.main import main
from pip._vendor.packaging import markers
here = markers.default_environment
target = json.loads(sys.argv.pop(1))
markers.default_environment = lambda: {**here(), **target}
sys.exit(main())
"""


def resolve(component: str, target: Target, wheel: Path) -> list[Wheel]:
    """Return all wheels that a component needs on a target, its own left out, and pip, for a host may have none."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for distribution in target.from_debian:
            _stand_in(distribution, folder)
        report = folder / "report.json"
        command: list[str | Path] = [
            sys.executable, "-c", RESOLVE, json.dumps(target.markers), "install", "--quiet", "--dry-run", "--ignore-installed", "--report",
            report, "--target", folder / "nowhere", "--find-links", folder, "--constraint", ROOT / "constraints.txt", *target.pip_options,
            f"{wheel}[{EXTRAS[component]}]", "pip",
        ]  # fmt: skip
        if target.from_debian:
            command.remove("--constraint")
            command.remove(ROOT / "constraints.txt")
        subprocess.run(command, check=True)
        found = json.loads(report.read_text())["install"]
    wheels = []
    for item in found:
        name, version = item["metadata"]["name"].lower().replace("_", "-"), item["metadata"]["version"]
        if name != "bramble-fl" and name not in target.from_debian:
            info = item["download_info"]
            wheels.append(Wheel(name, version, info["archive_info"]["hashes"]["sha256"], info["url"].rsplit("/", 1)[1].replace("%2B", "+")))
    return wheels


def _stand_in(distribution: str, folder: Path) -> None:
    """Write an empty wheel of what Debian brings, so that the resolver is content."""
    version = BOOKWORM[distribution]
    info = f"{distribution}-{version}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: bramble\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}\n"
        for name, text in files.items()
    )
    with zipfile.ZipFile(folder / f"{distribution}-{version}-py3-none-any.whl", "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record + f"{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)


def main() -> None:
    """Write the lock files that are named, or all."""
    locks.LOCKS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        for component, targets in COMPONENTS.items():
            for target in targets:
                if not sys.argv[1:] or f"{component}-{target.name}" in sys.argv[1:]:
                    wheels = resolve(component, target, wheel)
                    locks.write(component, target, wheels)
                    print(f"{locks.path(component, target).name}: {len(wheels)} wheels")


if __name__ == "__main__":
    main()
