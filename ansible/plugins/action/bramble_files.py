"""Bring a component's files to a host: the tables of its role are filled in here and written there, by the module of this name."""

from __future__ import annotations

from typing import Any

from ansible_collections.bramble.fleet.plugins.plugin_utils.tables import Tables, carried

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]
    """Fill in one table and hand it to the module. No content is in an argument of the task, a result or a log."""

    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write what differs."""
        super().run(tmp, task_vars)
        assert task_vars is not None
        _, arguments = self.validate_argument_spec(
            {
                "component": {"type": "str", "required": True},
                "table": {"type": "str", "choices": ["files", "identity"], "default": "files"},
                "early": {"type": "bool", "default": False},
            }
        )
        component, table = arguments["component"], arguments["table"]
        tables = Tables(self, task_vars)
        files = tables.files(component, table)
        chosen = {path: file for path, file in files.items() if file["early"] or not arguments["early"]}
        given = {"files": carried(chosen), "secret": table == "identity"}
        result: dict[str, Any] = self._execute_module("bramble_files", module_args=given, task_vars=task_vars)
        result.pop("invocation", None)
        return result
