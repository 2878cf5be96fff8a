"""Ask once, whatever the number of hosts, whether to go on; without a yes the play ends here and nothing is done."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail, AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.module_utils.common.text.converters import to_text
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.display import Display

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]
    """Ask ``question``, unless ``variable`` is true already; without a yes end with the sentence ``otherwise``."""

    _requires_connection = False
    _supports_check_mode = True
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail unless somebody typed yes or said so beforehand; a check asks nothing, for it does nothing."""
        super().run(tmp, task_vars)
        assert task_vars is not None
        variable = self._task.args["variable"]
        if self._task.check_mode or boolean(task_vars.get(variable, False), strict=False):
            return {"changed": False}
        try:
            answer = to_text(Display().prompt_until(f"{self._task.args['question']} Type yes to go on:", complete_input=(b"\r", b"\n")))
        except (AnsiblePromptNoninteractive, AnsiblePromptInterrupt):
            answer = ""
        if answer.strip().lower() != "yes":
            otherwise = self._task.args.get("otherwise", f"Nothing was deleted: type yes, or pass -e {variable}=true.")
            raise AnsibleActionFail(str(otherwise))
        return {"changed": False}
