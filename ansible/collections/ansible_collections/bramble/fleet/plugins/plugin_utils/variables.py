"""The variables that an inventory may set, as the roles' specifications declare them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]


def known_variables(roles: Path) -> dict[str, dict[str, Any]]:
    """Return every variable that some role's argument_specs declare, each with its type and choices."""
    known: dict[str, dict[str, Any]] = {}
    for file in roles.glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(file.read_text("utf-8"))["argument_specs"].values():
            for name, option in entry.get("options", {}).items():
                known[name] = {key: option[key] for key in ("type", "elements", "choices") if key in option}
    return known
