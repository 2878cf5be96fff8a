"""Blocking work in threads: what it gives comes back, the loop goes on meanwhile, and nothing of it stays."""

from __future__ import annotations

import gc
import threading
import weakref

import gevent  # type: ignore[import-untyped]
import numpy as np
import pytest
from gevent.event import Event  # type: ignore[import-untyped]

from bramble_server.transport.gevent.threads import Threads

TURNS = 1000


def test_what_it_returns_and_what_it_raises_come_back() -> None:
    threads = Threads(1)
    assert threads.run(divmod, 7, 2) == (3, 1)
    assert threads.run(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        threads.run(divmod, 7, 0)
    with pytest.raises(SystemExit):  # the loop's matter, not the end of a thread
        threads.run(exit)
    assert threads.run(divmod, 7, 2) == (3, 1)


def test_the_loop_goes_on_meanwhile() -> None:
    threads, may_end, heard = Threads(1), threading.Event(), Event()

    def others() -> None:
        for _ in range(TURNS):
            gevent.sleep(0)
        heard.set()
        may_end.set()

    gevent.spawn(others)
    assert threads.run(may_end.wait, 30), "it ends only once others had their turns"
    assert heard.is_set()


def test_as_many_run_at_once_as_there_are_threads_and_the_others_wait_in_their_order() -> None:
    threads, together, order = Threads(2), threading.Barrier(2), list[int]()
    pair = [gevent.spawn(threads.run, together.wait, 30) for _ in range(2)]
    gevent.joinall(pair, timeout=30, raise_error=True)
    one = Threads(1)
    asked = [gevent.spawn(one.run, order.append, index) for index in range(20)]
    gevent.joinall(asked, timeout=30, raise_error=True)
    assert order == list(range(20))


def test_what_is_handed_over_is_done_in_its_turn_and_if_it_fails_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    threads, order, may_begin = Threads(1), list[str](), threading.Event()
    threads.hand_over(may_begin.wait, 30)
    threads.hand_over(order.append, "beside")
    threads.hand_over(divmod, 7, 0)
    assert order == [], "nobody waited"
    may_begin.set()
    threads.run(order.append, "offloaded")
    assert order == ["beside", "offloaded"]
    assert [str(record.exc_info and record.exc_info[1]) for record in caplog.records] == ["integer division or modulo by zero"]


def test_who_gave_up_waiting_is_in_nobody_s_way() -> None:
    threads, may_end = Threads(1), threading.Event()
    with gevent.Timeout(0.01, False):
        threads.run(may_end.wait, 30)
    may_end.set()
    assert threads.run(divmod, 7, 2) == (3, 1)


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_held_on_to_once_it_is_done(fails: bool) -> None:
    threads = Threads(1)
    gc.disable()
    try:
        given = np.zeros(1000)
        seen = weakref.ref(given)

        def work(array: object) -> object:
            if fails:
                raise ValueError
            return array

        try:
            threads.run(work, given)
        except ValueError:
            pass
        del given
        assert seen() is None
    finally:
        gc.enable()
