"""What a play says first when something failed: the reason, in a few words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plugins import load

module = load("bramble_reason", "filter/bramble_reason.py")


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (
            {"stderr": "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n\n"},
            "No space left on device",
        ),
        (
            {"msg": "non-zero return code", "stderr": "Traceback ...\nOSError: [Errno 30] Read-only file system: '/opt/bramble/x'\n"},
            "Read-only file system: '/opt/bramble/x'",
        ),
        (
            {"msg": "non-zero return code", "stderr": "/x/python: can't open file '/x/pip': [Errno 2] No such file or directory"},
            "No such file or directory: '/x/pip'",
        ),
        ({"msg": "Request failed: <urlopen error [Errno 111] Connection refused>"}, "Connection refused"),
        ({"msg": "MODULE FAILURE: see the rest", "module_stderr": "sudo: a password is required\n"}, "a password is required"),
        ({"msg": "one\n two"}, "one two"),
        (
            {
                "msg": "failed to unpack /x.tar to /x",
                "extract_results": {"err": "tar: x: Cannot write: No space left on device\ntar: Exiting with failure status\n"},
            },
            "No space left on device",
        ),
        ({"stderr": "ERROR: THESE PACKAGES DO NOT MATCH\n  leaf:\n     Expected 1\n     Got 2"}, "THESE PACKAGES DO NOT MATCH"),
        ({"msg": "", "stdout": "first\nlast\n"}, "last"),
        ({}, "it did not say why"),
        (
            {"results": [{"failed": False, "stderr": "a warning"}, {"failed": True, "stderr": "ERROR: no wheel"}]},
            "no wheel",
        ),
    ],
)  # fmt: skip
def test_the_reason_is_the_last_line_of_what_failed(result: dict[str, Any], reason: str) -> None:
    assert module.bramble_reason(result) == reason
