"""Make and keep the fleet's identities on the controller: a private CA, the server's certificate, clients' tokens, a key to sign graphs.

Private keys and tokens are files under Ansible Vault, written with the vault password of this very run. Nothing is made anew
that is still good, so running it again changes nothing.

What is made anew takes over in an order that keeps every client in reach. ``ca.crt``, here and on the hosts, is all that is trusted: the
authority that signs, then those before it. Tokens of before are known by their hashes at the server. Both go, by the stages ``turn`` and
``end``, when the whole fleet was seen with the new ones; a run that is cut leaves what the next one goes on from.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.bramble.fleet.plugins.plugin_utils.identity.authority import alone, authority
from ansible_collections.bramble.fleet.plugins.plugin_utils.identity.certificates import names_in_words, pem
from ansible_collections.bramble.fleet.plugins.plugin_utils.identity.enrolment import client_keys, roll
from ansible_collections.bramble.fleet.plugins.plugin_utils.identity.fleet import REMEDY, fleet_name, look, refusal
from ansible_collections.bramble.fleet.plugins.plugin_utils.identity.graph_key import graph_key, public_text, signature
from ansible_collections.bramble.fleet.plugins.plugin_utils.identity.server_certificate import server_certificate, stays
from ansible_collections.bramble.fleet.plugins.plugin_utils.identity.tokens import former_tokens, tokens
from ansible_collections.bramble.fleet.plugins.plugin_utils.identity.vault import Vault

from ansible.plugins.action import ActionBase

RENEWABLE = ["authority", "ca", "certificate", "clients", "graphs", "tokens"]


class ActionModule(ActionBase):  # type: ignore[misc]
    """Make what is missing, and return it if ``reveal`` says so: then the task needs ``no_log``, which would hide a failure's reason."""

    _requires_connection = False
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make what is missing or used up; in check mode in memory only."""
        super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {
                "folder": {"type": "path", "required": True},
                "server_names": {"type": "list", "elements": "str", "required": True},
                "names": {"type": "list", "elements": "str", "required": True},
                "graphs": {"type": "dict", "default": {}},
                "secure": {"type": "bool", "default": False},
                "reveal": {"type": "bool", "default": False},
                "renew": {"type": "list", "elements": "str", "choices": RENEWABLE, "default": []},
                "found": {"type": "dict", "default": {}},
                "takeover": {"type": "bool", "default": False},
                "stage": {"type": "str", "choices": ["ask", "begin", "turn", "end"], "default": "begin"},
                "settled": {"type": "list", "elements": "str", "default": []},
            }
        )
        vault = Vault(Path(given["folder"]), self._loader._vault, self._task.check_mode)
        found, now, renew = look(given["found"]), dt.datetime.now(dt.UTC), given["renew"]
        refused = refusal(vault, found, renew) if given["stage"] in ("ask", "begin") else ""  # later the fleet has what was made here
        if given["stage"] == "ask":
            return {"changed": False, "refused": refused, "remedy": REMEDY}
        if refused and not given["takeover"]:
            raise AnsibleActionFail(f"Nothing was changed, for {refused}: {REMEDY}")
        others = found.trusted if refused or not vault.public("ca.crt") else ()
        ca = authority(vault, now, "ca" in renew, "authority" in renew, others)
        if given["stage"] == "end":
            ca = alone(vault, ca)
        key, certificate = server_certificate(vault, ca, given["server_names"], now, "certificate" in renew, found.certificate)
        made_tokens = tokens(vault, given["names"], "tokens" in renew)
        clients = [name for name in given["names"] if given["secure"] and not name.startswith("http:")]
        keys = client_keys(vault, clients, "clients" in renew) if clients else {}
        enrolled = roll(vault, ca, keys) if keys else ""
        signer = graph_key(vault, "graphs" in renew)
        signed = {name: signature(signer, Path(graph)) for name, graph in given["graphs"].items()}
        fleet = fleet_name(vault, vault.folder.name, found.fleet if refused or not vault.public("fleet.id") else "")
        former = {name: hashed for name, hashed in former_tokens(found.tokens, made_tokens).items() if name not in given["settled"]}
        pair = pem(certificate).decode(), pem(key).decode()
        if given["stage"] == "begin" and found.key and found.certificate and stays(found.certificate, ca, given["server_names"], now):
            pair = pem(found.certificate).decode(), found.key
        outcome = {"changed": bool(vault.changed), "made": vault.changed, "authorities": 1 + len(ca.former), "of_before": sorted(former)}
        if not given["reveal"]:
            return outcome
        return {
            **outcome,
            "tokens": made_tokens,
            "former_tokens": former,
            "ca_certificate": ca.trusted.decode(),
            "server_certificate": pair[0],
            "server_key": pair[1],
            "server_names": names_in_words(certificate),
            "graph_key": public_text(signer),
            "graph_signatures": signed,
            "fleet": fleet,
            "client_keys": keys,
            "roll": enrolled,
        }
