"""Judge the settings of every host by the code that is to read them there, before any host is touched.

What ``bramble_wanted`` worked out is written to folders of the controller, and ``bramble settings check`` of the very sources that
are deployed reads them, all in one process. Hosts whose settings differ in nothing but the client's name are judged once.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ansible.errors import AnsibleActionFail
from ansible_collections.bramble.fleet.plugins.plugin_utils.tables import COMPONENTS
from ansible_collections.bramble.fleet.plugins.plugin_utils.variables import known_variables

from ansible.plugins.action import ActionBase

SETTINGS = ("server.toml", "client.toml", "client-*.toml", "inspector.toml", "fleet.toml")
PRIVILEGED = 1024
"""Ports below it are for root alone, and no unit is root."""
VARIABLES = {
    ("server", "allowed_hosts"): "server_names",
    ("server", "track"): "server_tracks",
    ("client", "mode"): "server_mode",
    ("client", "server"): "server_port",
    ("inspector", "server"): "server_port",
}
"""Settings that follow from a variable with another name."""
PACKAGED = (".", "protocol", "server", "edge_client", "inspector")
"""Folders of the sources in which packages lie."""


class Case(NamedTuple):
    """Settings that some hosts share."""

    component: str
    file: str
    content: str
    others: dict[str, Any]
    """What else is in the release's ``etc/bramble``, which the settings may name."""
    hosts: list[str]


def cases(wanted: dict[str, Any]) -> list[Case]:
    """Return what is to be judged, once for all hosts that have it.

    Parameters
    ----------
    wanted
        What ``bramble_wanted`` found for each host.
    """
    found: dict[str, Case] = {}
    for host, components in wanted.items():
        for component in COMPONENTS:
            files = {path: file for path, file in components.get(component, {}).get("files", {}).items() if path.startswith("etc/bramble/")}
            named = [path for path in files if any(fnmatch.fnmatch(Path(path).name, name) for name in SETTINGS)]
            others = {path: file for path, file in files.items() if path not in named and not path.endswith(".inputs")}
            for path in named:
                content = _nameless(files[path]["content"])
                file = f"{component}.toml" if Path(path).name.startswith("client") else Path(path).name
                key = json.dumps([file, content, sorted((name, other["sha256"]) for name, other in others.items())])
                digest = hashlib.sha256(key.encode()).hexdigest()
                found.setdefault(digest, Case(component, file, content, others, [])).hosts.append(host)
    return list(found.values())


def _nameless(content: str) -> str:
    """Return settings without the client's name; with two of them, one too many, as they are."""
    nameless, names = re.subn(r"(?m)^id = .*\n", "", content)
    return nameless if names == 1 else content


def hosts_in_words(hosts: list[str]) -> str:
    """Return ``pi-1``, ``pi-1 and pi-2``, ``pi-1 and 41 others``."""
    return " and ".join(hosts) if len(hosts) <= 2 else f"{hosts[0]} and {len(hosts) - 1} others"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Return nothing of interest, or fail with all that is wrong: host, variable, value, remedy."""

    _requires_connection = False
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Judge the settings of all hosts."""
        super().run(tmp, task_vars)
        assert task_vars is not None
        hostvars, playbooks = task_vars["hostvars"], Path(task_vars["playbook_dir"])
        found = {host: hostvars[host].get("bramble_wanted") or {} for host in task_vars["groups"]["all"]}
        wanted = {host: files for host, files in found.items() if "units" in files}
        every, known = cases(wanted), known_variables(playbooks / "roles")
        said: dict[str, list[str]] = {}
        for host, failure in found.items():
            if "refused" in failure:  # as a file that is not there
                said.setdefault(failure["refused"], []).append(host)
        for case in every:
            for sentence in _of_unit(case):
                said.setdefault(sentence, []).extend(case.hosts)
        for host in wanted:
            if clash := _clash([case for case in every if host in case.hosts]):
                said.setdefault(clash, []).append(host)
        with tempfile.TemporaryDirectory(prefix="bramble-settings-") as name:
            for number, case in enumerate(every):
                _write(Path(name, str(number)), case)
            for problem in _judged(Path(name), len(every), playbooks.parent) if every else []:
                case = every[int(Path(problem["file"]).relative_to(name).parts[0])]
                said.setdefault(_sentence(problem, case, hostvars[case.hosts[0]], known), []).extend(case.hosts)
        if said:
            problems = [f"{sentence} ({hosts_in_words(list(dict.fromkeys(hosts)))})" for sentence, hosts in said.items()]
            raise AnsibleActionFail(f"The settings do not work out, and no host was touched: {'; '.join(problems)}")
        return {"changed": False}


def _write(folder: Path, case: Case) -> None:
    """Write a case as it would lie in a release."""
    etc = folder / "etc/bramble"
    etc.mkdir(parents=True)
    (etc / case.file).write_text(case.content, "utf-8")
    for path, file in case.others.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if "content" in file:
            place.write_text(file["content"], "utf-8")
        else:  # what is no text is not kept in a variable
            place.write_bytes(Path(file["source"]).read_bytes())


def _judged(folder: Path, count: int, sources: Path) -> Any:
    """Have the sources judge the folders; return what is wrong."""
    command = [
        sys.executable,
        "-B",
        "-m",
        "bramble",
        "settings",
        "check",
        "--json",
        *(str(folder / str(number)) for number in range(count)),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BRAMBLE_", "PYTHON"))}
    environment["PYTHONPATH"] = os.pathsep.join(str(sources / name) for name in PACKAGED)
    done = subprocess.run(command, cwd=sources, env=environment, capture_output=True, text=True)
    try:
        return json.loads(done.stdout)
    except ValueError:
        why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        remedy = "pip install -r constraints-fleet.txt" if "ModuleNotFoundError" in why else "these sources cannot read settings"
        raise AnsibleActionFail(f"The settings cannot be judged on the controller ({why[:300]}): {remedy}. No host was touched.") from None


def _sentence(problem: dict[str, str], case: Case, variables: Any, known: Collection[str]) -> str:
    """Say what is wrong in the words of the inventory."""
    text = re.sub(r"--([a-z][a-z-]*)", lambda match: _variable(case, match[1].replace("-", "_"), variables, known), problem["sentence"])
    for path, file in case.others.items():
        if "source" in file:
            text = text.replace(f"/{path}", file["source"])
    name = _variable(case, problem["key"], variables, known)
    if text.startswith("is set twice") and "_settings." in name:
        text = f"the play sets {problem['key']} already, from a variable of its own: leave it out here"
    return text if not problem["key"] or text.startswith(f"{name}:") else f"{name}: {text.removeprefix(problem['key'] + ': ')}"


def _variable(case: Case, key: str, variables: Any, known: Collection[str]) -> str:
    """Return the variable of the inventory that a setting comes from."""
    given = variables.get(f"{case.component}_settings")
    if isinstance(given, dict) and key in {str(name).replace("-", "_") for name in given}:
        return f"{case.component}_settings.{key}"
    if case.component == "server" and key == "task":
        return next((name for name in ("server_tasks", "server_graph") if name in variables), "server_task")
    variable = VARIABLES.get((case.component, key), f"{case.component}_{key}")
    return "" if not key else variable if variable in known else f"{case.component}_settings.{key}"


def _port(case: Case) -> int | None:
    """Return the port that a component listens at, if it says one."""
    try:
        port = tomllib.loads(case.content).get(case.component, {}).get("port")
    except tomllib.TOMLDecodeError:  # which is said by whoever judges the file
        return None
    return port if isinstance(port, int) else None


def _of_unit(case: Case) -> Iterator[str]:
    """Say what a unit may not do, whatever its program can."""
    port = _port(case)
    if port is not None and 0 < port < PRIVILEGED:
        yield (
            f"{case.component}_port: {port} is for root alone, and the {case.component} is not root: take one from {PRIVILEGED} on, "
            f"such as {5000 if case.component == 'server' else 8050}"
        )


def _clash(mine: list[Case]) -> str | None:
    """Say so if server and inspector would listen at one port of one host."""
    ports = {case.component: port for case in mine if case.file == f"{case.component}.toml" and (port := _port(case))}
    if "server" in ports and ports["server"] == ports.get("inspector"):
        return f"server_port and inspector_port are both {ports['server']}: give one of them another"
    return None
