"""Bring files to a host, all at once, each replaced in one step. ``plugins/action/bramble_files.py`` says which."""

from __future__ import annotations

import base64

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.bramble_files import ROOT, described, difference, write

DOCUMENTATION = r"""
module: bramble_files
short_description: Bring the files of a component to a host
description:
  - Writes what differs, in one round trip. On the controller the action of the same name fills in the tables of a role's
    vars/files.yml, so that no content, and no secret, is ever a variable.
options:
  component:
    description: Whose files these are.
    type: str
    required: true
    choices: [base, server, inspector, client]
  table:
    description: The release's own files, or those of the identity, which outlive it.
    type: str
    choices: [files, identity]
    default: files
  early:
    description: Bring only what is to be there before any part of the fleet is upgraded.
    type: bool
    default: false
author: Bramble
"""


def main() -> None:
    """Write what differs; with ``--diff`` show the text of what holds no secret."""
    arguments = {
        "files": {"type": "dict", "required": True},
        "secret": {"type": "bool", "required": True},
    }
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True, no_log=True)
    written, shown = [], []
    for name, file in module.params["files"].items():
        path, content = ROOT / name, base64.b64decode(file["content"])
        before = described(path)
        if before == {"sha256": file["sha256"], "mode": file["mode"], "owner": file["owner"]}:
            continue
        written.append(name)
        if not module.params["secret"]:
            shown.append(difference(path, content))
        if not module.check_mode:
            try:
                write(path, content, file["mode"], file["owner"])
            except (OSError, KeyError) as error:
                module.fail_json(msg=f"{path} cannot be written: {error}")
    module.exit_json(changed=bool(written), written=written, **({"diff": shown} if module._diff and shown else {}))


if __name__ == "__main__":
    main()
