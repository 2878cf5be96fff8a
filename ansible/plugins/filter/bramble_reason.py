"""Why a task failed, in the few words that somebody can act on."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

_ERRORS = "|".join(sorted((re.escape(os.strerror(number)) for number in errno.errorcode), key=len, reverse=True))
_SYSTEM = re.compile(rf"(?:{_ERRORS})(?:: '[^']*')?")
"""An error of the system, with the file that it is about where Python says so."""
_KIND = re.compile(r"^(?:\w+(?:\.\w+)*(?:Error|Exception)|ERROR|error|fatal|[a-z0-9_./-]+): (?=\S)")
"""What stands before the reason: an exception's class, a level, the command that says it."""
TAIL = 5
"""Lines at the end in which a reason is looked for: tar and pip go on after theirs."""


def bramble_reason(result: Mapping[str, Any]) -> str:
    """Return a failed task's reason: what the system says, else the last error on stderr, else the last line of what it said.

    Of a task with a loop it is the first failed item's.
    """
    failed = next((item for item in result.get("results", []) if item.get("failed")), result)
    unpacked = failed.get("extract_results") or {}
    texts = [failed.get("stderr"), failed.get("module_stderr"), unpacked.get("err"), failed.get("msg"), failed.get("stdout")]
    said = next((str(text) for text in texts if text and str(text).strip()), "it did not say why")
    if said == failed.get("msg"):
        said = " ".join(said.split())
    lines = [line.strip() for line in said.splitlines() if line.strip()][-TAIL:]
    for line in reversed(lines):
        if found := _SYSTEM.search(line):
            named = re.search(r"'/[^']*'", line)
            return f"{found[0]}: {named[0]}" if named and "'" not in found[0] else found[0]
    reason = next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1])
    while _KIND.match(reason):
        reason = _KIND.sub("", reason, count=1)
    return reason


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return the filter by name."""
        return {"bramble_reason": bramble_reason}
