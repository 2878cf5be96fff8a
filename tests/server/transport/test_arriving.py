"""Messages while they arrive, without a socket."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from wsproto.events import BytesMessage, TextMessage

from bramble_server.transport.arriving import HELLO_BYTES, LARGE, Arriving, BadMessageError, Limits


def arriving(places: int = 1, message: int = 4 * LARGE, admitted: bool = True) -> Arriving:
    def waiting() -> None:
        raise TimeoutError

    limits = Limits(message, 2 * HELLO_BYTES, 1.0, 1.0, threading.BoundedSemaphore(places))
    made = Arriving(limits, waiting, time)
    made.admitted = admitted
    return made


def part(data: bytes, last: bool = False) -> BytesMessage:
    return BytesMessage(data, frame_finished=last, message_finished=last)


def test_parts_become_one_message_and_the_next_begins_anew() -> None:
    messages = arriving()
    assert messages.add(part(b"a")) is None
    assert messages.begun
    assert messages.add(part(b"bc", last=True)) == b"abc"
    assert not messages.begun
    assert messages.add(TextMessage("2", message_finished=True)) == "2"


def test_a_place_for_the_whole_begins_with_what_is_here() -> None:
    messages = arriving()
    messages.add(part(b"ab"))
    whole = messages.space(3)
    assert whole is not None
    whole[2:] = np.frombuffer(b"cde", np.uint8)
    messages.came(3)
    messages.done()
    assert (whole.tobytes(), messages.size, messages.begun) == (b"abcde", 0, False)


@pytest.mark.parametrize(("admitted", "most"), [(True, 4 * LARGE), (False, HELLO_BYTES)])
def test_what_says_that_it_is_too_large_gets_no_place_and_is_refused_once_it_is(admitted: bool, most: int) -> None:
    messages = arriving(admitted=admitted)
    messages.add(part(b"a"))
    assert messages.space(most) is None
    assert messages.space(most - 1) is not None
    with pytest.raises(BadMessageError, match=f"larger than the {most} bytes"):
        messages.add(part(bytes(most)))


def test_a_large_message_waits_for_a_place_that_another_gives_back() -> None:
    messages = arriving()
    for _ in range(2):
        messages.add(part(b"a"))
        messages.came(LARGE)
        messages.came(1)  # it has its place
        messages.done()
        messages.give_place_back()
    messages.add(part(bytes(LARGE + 1)))
    other = Arriving(messages._limits, messages._waiting, time)
    other.admitted = True
    other.add(part(b"a"))
    with pytest.raises(TimeoutError):
        other.came(LARGE)
