"""The exchange over one lamp and one button: what is shown, what a press means, and from when to when it counts."""

from __future__ import annotations

import pytest

from bramble_client.machine.exchange import CALL, COUNT, NONE, PAUSE, QUESTION_S, TICK_S, Exchange, Question, Saying

CLASSES = ("sit", "walk", "run")
NOW = 1_700_000_000.0


@pytest.fixture
def exchange() -> Exchange:
    return Exchange(CLASSES)


def shown(exchange: Exchange, ticks: int) -> tuple[int | None, ...]:
    return tuple(exchange.light(NOW + tick * TICK_S) for tick in range(ticks))


def test_unasked_each_press_is_the_next_class_from_then_on(exchange: Exchange) -> None:
    said = [saying for t in range(4) for saying in exchange.pressed(NOW + t, long=False)]
    assert said == [Saying(NOW + t, label) for t, label in enumerate(("sit", "walk", "run", "sit"))]


def test_unasked_a_long_press_says_none_from_then_on(exchange: Exchange) -> None:
    assert exchange.pressed(NOW, long=True) == [Saying(NOW, NONE)]


def test_without_classes_a_press_says_nothing() -> None:
    assert Exchange(()).pressed(NOW, long=False) == Exchange(()).pressed(NOW, long=True) == []


def test_a_question_is_a_double_blink_then_as_many_blinks_as_the_number_of_the_most_probable_class_then_a_pause(exchange: Exchange) -> None:
    exchange.ask(Question(NOW - 2, (2, 0, 1)), NOW)
    offers = [(*CALL, *COUNT * blinks, *PAUSE) for blinks in (3, 1, 2, 3)]
    expected = sum(offers, ())
    assert shown(exchange, len(expected)) == expected


def test_nothing_asked_is_no_light(exchange: Exchange) -> None:
    assert exchange.light(NOW) is None


@pytest.mark.parametrize(("offer", "label"), [(0, "run"), (1, "sit"), (2, "walk"), (3, "run")])
@pytest.mark.parametrize("late", [0, 1])
def test_a_press_answers_with_the_class_that_is_offered_until_the_next_double_blink(
    exchange: Exchange, offer: int, label: str, late: int
) -> None:
    exchange.ask(Question(NOW - 2, (2, 0, 1)), NOW)
    begins = [0]
    for blinks in (3, 1, 2, 3):
        begins.append(begins[-1] + len((*CALL, *COUNT * blinks, *PAUSE)))
    pressed = NOW + TICK_S * (begins[offer + late] - late)
    assert exchange.pressed(pressed, long=False) == [Saying(NOW - 2, label), Saying(pressed, NONE)]


def test_an_answer_counts_from_the_windows_beginning_until_the_press_and_ends_the_question(exchange: Exchange) -> None:
    exchange.ask(Question(NOW - 2, (0, 1, 2)), NOW)
    assert exchange.pressed(NOW + 1, long=False) == [Saying(NOW - 2, "sit"), Saying(NOW + 1, NONE)]
    assert not exchange.asking(NOW + 1)
    assert exchange.pressed(NOW + 2, long=False) == [Saying(NOW + 2, "sit")]


def test_a_long_press_answers_none_of_them_from_the_windows_beginning(exchange: Exchange) -> None:
    exchange.ask(Question(NOW - 2, (0, 1, 2)), NOW)
    assert exchange.pressed(NOW + 1, long=True) == [Saying(NOW - 2, NONE)]
    assert not exchange.asking(NOW + 1)


def test_a_question_ends_by_itself_and_a_later_press_is_none_of_its_answers(exchange: Exchange) -> None:
    exchange.ask(Question(NOW - 2, (2, 0, 1)), NOW)
    assert exchange.asking(NOW + QUESTION_S - 0.1)
    assert exchange.light(NOW + QUESTION_S) is None
    assert exchange.pressed(NOW + QUESTION_S, long=False) == [Saying(NOW + QUESTION_S, "sit")]


def test_a_second_question_waits_for_nobody(exchange: Exchange) -> None:
    exchange.ask(Question(NOW - 2, (2, 0, 1)), NOW)
    exchange.ask(Question(NOW, (1, 0, 2)), NOW + 1)
    assert exchange.pressed(NOW + 1, long=False)[0] == Saying(NOW - 2, "run")


def test_a_clock_that_is_set_back_ends_a_question(exchange: Exchange) -> None:
    exchange.ask(Question(NOW - 2, (2, 0, 1)), NOW)
    assert not exchange.asking(NOW - 1)


def test_what_is_forgotten_is_asked_no_more(exchange: Exchange) -> None:
    exchange.ask(Question(NOW - 2, (0, 1, 2)), NOW)
    exchange.forget()
    assert not exchange.asking(NOW)
