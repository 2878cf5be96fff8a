"""Carries the outbox to the server: one message at a time, again and again until it is answered."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import Any

from bramble_client.deliver.link import Link, LinkDown, NoAnswer
from bramble_client.deliver.outbox import Item, Outbox
from bramble_client.worker import Worker

log = logging.getLogger(__name__)

PAUSE_S = 5.0
"""Seconds before sending is tried again after it failed on this side."""


class Courier(Worker):
    """Sends what waits in the outbox whenever the link is up.

    Parameters
    ----------
    accepted
        Called with an item that the server took, before the outbox forgets it.
    sparing
        Says whether no more is to be sent than rounds need: readings then wait.
    ack_timeout
        Seconds to wait for an answer before the message is sent again; the server counts it once.
    """

    def __init__(
        self,
        outbox: Outbox,
        link: Link,
        accepted: Callable[[Item], None],
        ack_timeout: float = 60.0,
        sparing: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__("courier")
        self._outbox = outbox
        self._link = link
        self._accepted = accepted
        self._ack_timeout, self._sparing = ack_timeout, sparing
        self._said: set[str] = set()
        self._full = False

    def wake(self) -> None:
        """Look at the outbox."""
        self._outbox.wake()

    def run(self) -> None:
        """Send until told to stop; what is not answered by then stays in the outbox."""
        while not self._stopping.is_set():
            try:
                self._carry_one()
                self._full = False
            except sqlite3.Error as error:
                # what was answered is sent again, and answered again as the first time
                if not self._full:
                    log.error("the outbox cannot be written (%s); sending goes on when there is room on its disk", error)
                self._full = True
                self._stopping.wait(PAUSE_S)
            except Exception:
                if not self._stopping.is_set():
                    log.exception("sending failed; trying again")
                self._stopping.wait(PAUSE_S)

    def _carry_one(self) -> None:
        item = self._outbox.wait(60)
        if item is None or not self._link.wait_up(1):
            return
        if item.event == "data_update" and self._sparing():
            self._stopping.wait(PAUSE_S)
            return
        try:
            answer = self._link.call(item.event, item.payload, self._ack_timeout)
        except LinkDown:
            self._stopping.wait(0.1)
            return
        except NoAnswer as error:
            log.warning("%s; sending it again", error)
            return
        self._judge(item, answer)
        self._outbox.remove(item)

    def _judge(self, item: Item, answer: Any) -> None:
        known = isinstance(answer, dict) and "accepted" in answer
        if known and answer["accepted"]:
            self._accepted(item)
            return
        reason = str(answer.get("reason") or "without a reason")[:500] if known else "its answer is not one of the contract"
        if "round" in item.payload:
            log.warning("round %s: the server refused %s: %s", item.payload["round"], item.event, reason)
        elif reason not in self._said:
            self._said.add(reason)
            log.warning("the server refused %s: %s", item.event, reason)
