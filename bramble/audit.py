"""``bramble fleet audit``: who changed what at the server."""

from __future__ import annotations

import json

from bramble.api import Server
from bramble.exit_codes import ExitCode
from bramble.settings import AuditSettings
from bramble_protocol.printable import printable


def run(settings: AuditSettings) -> int:
    """Print the newest changes, the newest last; return 0, or ``ExitCode.BROKEN``."""
    told = Server.of(settings).audit(settings.limit)
    if settings.as_json:
        print(json.dumps(told, indent=1))
    else:
        for change in reversed(told["changes"]):
            who = "anybody" if change["who"] is None else change["who"]
            print(printable(f"{change['at']}  {who} from {change['from']}: {change['what']}: {change['status']}", None))
        if told["broken"]:
            print(printable(f"The chain is broken: {told['broken']}.", None))
    return ExitCode.BROKEN if told["broken"] else ExitCode.OK
