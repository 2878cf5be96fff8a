"""Why a task failed, in the few words that somebody can act on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_ERRNO = re.compile(r"\[Errno -?\d+\] (?P<reason>[^>]+)")
_KIND = re.compile(r"^(?:\w+(?:\.\w+)*(?:Error|Exception)|ERROR|error|fatal|[a-z0-9_./-]+): (?=\S)")
"""What stands before the reason: an exception's class, a level, the command that says it."""


def _last(text: object) -> str:
    lines = [line.strip() for line in str(text or "").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def bramble_reason(result: Mapping[str, Any]) -> str:
    """Return a failed task's reason: the last line on stderr if there is one, an error of the system without its number.

    Of a task with a loop it is the first failed item's.
    """
    failed = next((item for item in result.get("results", []) if item.get("failed")), result)
    said = _last(failed.get("stderr")) or _last(failed.get("module_stderr")) or " ".join(str(failed.get("msg", "")).split())
    if found := _ERRNO.search(said):
        named = re.search(r"'/[^']*'", said)
        reason = found["reason"].strip()
        return f"{reason}: {named[0]}" if named and "'" not in reason else reason
    while _KIND.match(said):
        said = _KIND.sub("", said, count=1)
    return said or _last(failed.get("stdout")) or "it did not say why"


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return the filter by name."""
        return {"bramble_reason": bramble_reason}
