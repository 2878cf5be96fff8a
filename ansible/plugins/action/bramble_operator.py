"""Refuse an Ansible that is too old, and a ``--limit`` that leaves out what the play needs, before anything else is done."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ansible import __version__
from ansible.plugins.action import ActionBase


def too_old(version: str, minimum: str) -> str | None:
    """Return a sentence if a version is below the least that will do."""
    if _numbers(version)[: len(_numbers(minimum))] >= _numbers(minimum):
        return None
    return (
        f"This is ansible-core {version}, and Bramble's plays need {minimum} or newer: install the one they are tested with, in the "
        "project's folder (python3 -m venv .venv-fleet && .venv-fleet/bin/pip install -r constraints-fleet.txt), and play with that"
    )


def misspelt(limit: str, known: Iterable[str]) -> str | None:
    """Return a sentence for a name in ``--limit`` that the inventory does not have: Ansible would go on with the others, and end well."""
    for name in _parts(limit):
        if not re.search(r"[*?\[~@]", name) and (plain := name.lstrip("!&")) not in known:
            near = difflib.get_close_matches(plain, list(known), n=1)
            return f"--limit names {plain}, which is neither a host nor a group of the inventory" + (
                f": did you mean {near[0]}?" if near else ""
            )
    return None


def too_narrow(limit: str, needed: Iterable[str], chosen: Sequence[str]) -> str | None:
    """Return a sentence if ``--limit`` leaves out what the play cannot do without, with the limit to type instead."""
    missing = [host for host in needed if host not in chosen]
    if not missing:
        return None
    parts = _parts(limit)
    # A limit of exclusions alone means everybody else; with a name in front it would mean that name alone.
    everybody = ["all"] if all(part.startswith("!") for part in parts) else []
    wanted = ",".join([*missing, *everybody, *parts])
    return (
        f"--limit {limit} leaves out {' and '.join(missing)}, without which nothing can be deployed (the release is made on localhost, "
        f"and the server must know its clients): type --limit '{wanted}'; what is as it should be there stays as it is"
    )


def _parts(limit: str) -> list[str]:
    return [part for part in re.split(r"[,:]", limit) if part]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


class ActionModule(ActionBase):  # type: ignore[misc]
    """Look at what was typed, once for all hosts."""

    _requires_connection = False
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with a sentence, or do nothing."""
        super().run(tmp, task_vars)
        assert task_vars is not None
        wanted = self._task.args
        limit = task_vars.get("ansible_limit") or ""
        problem = (
            too_old(__version__, str(wanted["minimum"]))
            or misspelt(limit, {*task_vars["groups"], *task_vars["hostvars"], "localhost"})
            or too_narrow(limit, wanted["needed"], task_vars["ansible_play_hosts_all"])
        )
        return {"changed": False, "failed": problem is not None, "msg": problem or "All is well."}
