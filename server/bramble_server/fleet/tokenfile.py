"""Writing into the token file: one more entry, beside what people wrote into it."""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from pathlib import Path

from bramble_server.fleet.tokens import TokenError, read


def add(path: Path, entry: str) -> None:
    """Put an entry into a token file, which is made if it is not there; everything else in it stays as it is.

    Parameters
    ----------
    entry
        Section and line, as ``client_entry`` and ``http_entry`` of :mod:`bramble_server.fleet.tokens` return them.

    Raises
    ------
    TokenError
        If the file cannot be read or written, is none, or holds an entry of that name.
    """
    text = ""
    if path.exists():
        read(path)
        text = path.read_text("utf-8")
    header, _, line = entry.partition("\n")
    section = header.strip("[]")
    (name,) = tomllib.loads(entry)[section]
    if name in tomllib.loads(text).get(section, {}):
        raise TokenError(f"tokens: {path} holds a token of {name} already; delete its line first, which revokes it")
    changed, found = re.subn(rf"^\[\s*{section}\s*\][^\n]*$", lambda match: f"{match[0]}\n{line}", text, count=1, flags=re.MULTILINE)
    if not found:
        changed = f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{header}\n{line}\n"
    _replace(path, changed)


def _replace(path: Path, text: str) -> None:
    """Write a file anew, as a whole or not at all; only its owner may read it."""
    try:
        descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            status = path.stat()
            os.chmod(made, status.st_mode & 0o777)
            if os.geteuid() == 0:
                os.chown(made, status.st_uid, status.st_gid)
        os.replace(made, path)
    except OSError as error:
        raise TokenError(f"tokens: {path} cannot be written ({error.strerror})") from error
