"""The wheel of this very installation, to be handed out: nothing of Bramble need be on an index."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

from bramble_protocol import BrambleError

NAME = "bramble-fl"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""When each file is said to be from, so that equal files make equal wheels."""
MADE_HERE = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""What pip adds to a distribution's folder when it installs it."""


def wheel(folder: Path) -> Path:
    """Put the wheel of what is installed here into a folder, in place of any that is there; return it.

    Raises
    ------
    BrambleError
        If Bramble is not installed, or runs from its sources and these cannot be built.
    """
    folder.mkdir(exist_ok=True)
    for former in folder.glob("*.whl"):
        former.unlink()
    try:
        installed = Distribution.from_name(NAME)
    except PackageNotFoundError:
        raise BrambleError(f"{NAME} is not installed here: pip install 'bramble-fl[server,quickstart]'") from None
    source = json.loads(installed.read_text("direct_url.json") or "{}")
    if source.get("dir_info", {}).get("editable"):
        return _built(Path(source["url"].removeprefix("file://")), folder)
    return packed(installed, folder)


def packed(installed: Distribution, folder: Path) -> Path:
    """Pack the files of an installed distribution into the wheel that they came in (PyPA, "Binary distribution format")."""
    info = f"{NAME.replace('-', '_')}-{installed.version}.dist-info"
    files = {str(path): path for path in installed.files or () if ".." not in path.parts and "__pycache__" not in path.parts}
    made = {f"{info}/{name}" for name in MADE_HERE}
    path = folder / f"{NAME.replace('-', '_')}-{installed.version}-py3-none-any.whl"
    record = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files.keys() - made):
            content = files[name].read_binary()
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(content)}\n")
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD", EPOCH), f"{''.join(record)}{info}/RECORD,,\n")
    return path


def _built(sources: Path, folder: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=sources, capture_output=True, text=True
    )
    if done.returncode:
        raise BrambleError(f"the wheel of {sources} cannot be built ({done.stderr.strip()[-300:]}): pip install hatchling")
    return next(folder.glob("*.whl"))
