"""Let one operator at a time play on a fleet: whoever comes second is told who is at it, since when and from where.

The lock lies on the server's host, in memory, and holds for a lease. A process of its own on the controller renews it as long as
ansible-playbook lives, and gives it back when that has ended, however it ended. A play that was stopped with Ctrl-C and hangs on is ended
by that process. If the controller itself is gone, nobody renews the lock.
"""

from __future__ import annotations

import datetime as dt
import getpass
import os
import shlex
import signal
import socket
import time
import uuid
from pathlib import Path
from typing import Any

from ansible.context import CLIARGS
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.utils.display import Display

from ansible.plugins.action import ActionBase

LOCK = "/run/bramble-operator"
LEASE_S, RENEW_S = 90, 20
PATIENCE_S = 30
"""Seconds that a play may take to end after Ctrl-C: Ansible waits for results that may never come, of workers that Ctrl-C ended."""
REMEDIES = {
    "Host key verification failed": "log in there once with ssh, and compare the fingerprint that it shows",
    "Permission denied": "see that ansible_user is right and has your ssh key",
    "Missing sudo password": "pass --ask-become-pass",
    "Incorrect sudo password": "--ask-become-pass was given another one",
}
HELD = 9
"""Exit code of ``TAKE`` where somebody else has it."""

# Time is what the host has been up for: a clock may be set, and the lock does not outlive a boot either.
_READ = (
    f"exec 9>>{LOCK} && flock 9 && holder= && {{ read -r holder seen words <{LOCK} || :; }} && "
    "read -r up rest </proc/uptime && up=${up%.*}"
)
TAKE = (
    f'{_READ} && if [ -n "$holder" ] && [ "$holder" != "$me" ] && [ "$holder" != "$dead" ] && [ $((up - seen)) -lt {LEASE_S} ]; '
    f'then echo "$holder $words"; exit {HELD}; fi; echo "$me $up $about" >{LOCK}'
)
GIVE_BACK = f'{_READ} && if [ "$holder" = "$me" ]; then : >{LOCK}; fi'


def alive(process: int) -> bool:
    """Whether a process of this machine is still there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def interrupted(process: int) -> bool:
    """Whether a play has heard Ctrl-C: Ansible gives the signal back its default then, to be ended by the next. Known on Linux alone."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    caught = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt:")), -1)
    return not caught >> (signal.SIGINT - 1) & 1


def identity(process: int) -> str:
    """Return what tells one play from all others: its machine, of which several may have the same name, and its process there."""
    return f"{socket.gethostname()}/{uuid.getnode():x}/{process}"


def person() -> str:
    """Return who plays; a container may know its user by number only."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def ended_here(holder: str) -> bool:
    """Whether the holder of a lock was a play of this machine that is over."""
    machine, _, process = holder.rpartition("/")
    return machine == identity(0).rpartition("/")[0] and process.isdigit() and not alive(int(process))


def remedy(trouble: str) -> str:
    """Return what to do about a trouble of ssh's or sudo's, where that is known."""
    return next((f": {words}" for sign, words in REMEDIES.items() if sign in trouble), "")


class ActionModule(ActionBase):  # type: ignore[misc]
    """Take the lock, once for all hosts, on the host that the task is delegated to, and keep it until ansible-playbook ends."""

    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with a sentence if somebody else has it."""
        super().run(tmp, task_vars)
        assert task_vars is not None
        host, play = self._task.delegate_to or task_vars["inventory_hostname"], os.getppid()
        playbooks = ", ".join(Path(name).name for name in CLIARGS["args"])
        about = f"{person()} on {socket.gethostname()} since {dt.datetime.now().astimezone():%Y-%m-%d %H:%M %z} ({playbooks})"
        try:
            code, holder, said = self._take(host, play, about)
        except AnsibleConnectionFailure as error:
            sentence = f"The server {host} cannot be reached ({' '.join(str(error).split())}){remedy(str(error))}"
            if self._task.args["needed"]:
                raise AnsibleActionFail(f"{sentence}; nothing was changed anywhere") from None
            return {"changed": False, "warnings": [f"{sentence}; it does not know what is done here"]}
        if code == HELD and ended_here(holder):
            code, holder, said = self._take(host, play, about, holder)
        if code == 0:
            self._keep(play, about)
            return {"changed": False}
        if code != HELD:
            raise AnsibleActionFail(f"{host}: {LOCK} cannot be written ({said}): mend that first; nothing was changed anywhere")
        raise AnsibleActionFail(
            f"Somebody plays on this fleet already: {said}. Nothing was changed; run this again when that is over. "
            f"If that computer is gone for good, the fleet is free {LEASE_S} s after it went."
        )

    def _take(self, host: str, play: int, about: str, dead: str = "") -> tuple[int, str, str]:
        """Try to take it; return how that went, who has it else, and what is known of them, or what went wrong."""
        try:
            answer = self._ask(TAKE, me=identity(play), about=about, dead=dead)
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:
            raise AnsibleActionFail(
                f"Nobody can become root on the server {host} ({error}){remedy(str(error))}; nothing was changed anywhere"
            ) from None
        if answer["rc"] == HELD:
            holder, _, said = answer["stdout"].strip().partition(" ")
            return HELD, holder, said
        return answer["rc"], "", " ".join((answer["stderr"] or answer["stdout"]).split())

    def _ask(self, script: str, **values: str) -> dict[str, Any]:
        given = " ".join(f"{name}={shlex.quote(value)}" for name, value in values.items())
        done: dict[str, Any] = self._low_level_execute_command(f"{given}; {script}", sudoable=True)
        return done

    def _keep(self, play: int, about: str) -> None:
        """Renew the lock beside the play, and give it back when the play is over."""
        if os.fork():
            return
        try:
            os.setsid()  # Ctrl-C is for the play
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            Display().verbosity = 0
            renewed = heard = time.monotonic()
            while alive(play):
                time.sleep(0.5)
                if not interrupted(play):
                    heard = time.monotonic()
                elif time.monotonic() - heard >= PATIENCE_S:
                    os.kill(play, signal.SIGKILL)
                if time.monotonic() - renewed >= RENEW_S:
                    renewed = time.monotonic()
                    try:
                        if self._ask(TAKE, me=identity(play), about=about, dead="")["rc"] == HELD:
                            return
                    except AnsibleError:
                        pass  # the server is away for the moment: the play itself will say so
            self._ask(GIVE_BACK, me=identity(play))
        finally:
            os._exit(0)
