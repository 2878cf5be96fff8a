"""Install releases on a host: the files that go to ``/etc`` with them are filled in here, the module of this name does the rest there."""

from __future__ import annotations

from typing import Any

from ansible_collections.bramble.fleet.plugins.plugin_utils.tables import Tables, carried

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]
    """Hand the module what the task says, and the files of the releases."""

    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fetch, install or clear."""
        super().run(tmp, task_vars)
        assert task_vars is not None
        given = dict(self._task.args)
        if given.get("releases"):
            tables = Tables(self, task_vars)
            given["etc"] = {component: carried(tables.release(component)) for component in given["releases"]}
        result: dict[str, Any] = self._execute_module("bramble_install", module_args=given, task_vars=task_vars)
        result.pop("invocation", None)
        return result
