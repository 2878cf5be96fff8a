"""Runs a script again and again, each time in a process of its own that has loaded already what takes longest: ``python -m bench.forking``.

A line of its input is a JSON object with ``script``, ``arguments`` and ``environment``. It says the process's number, then whatever that
one says, and its exit status when it has ended.
"""

from __future__ import annotations

import json
import os
import runpy
import sys

import bramble_server.app  # noqa: F401


def fork_on_demand() -> None:
    """Start what is asked for, until the input ends."""
    for line in iter(sys.stdin.readline, ""):
        wanted = json.loads(line)
        child = os.fork()
        if child:
            print(child, flush=True)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            continue
        os.environ.update(wanted["environment"])
        sys.argv = [wanted["script"], *wanted["arguments"]]
        runpy.run_path(wanted["script"], run_name="__main__")
        return


if __name__ == "__main__":
    fork_on_demand()
