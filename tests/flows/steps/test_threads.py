"""Work side by side: in order, left when closed, and no burden to a process that is interrupted."""

from __future__ import annotations

from threading import Barrier, Event, Timer
from time import sleep

import pytest

from flows.steps.threads import side_by_side


def test_outcomes_come_in_the_order_of_their_items() -> None:
    second_began = Event()

    def work(number: int) -> int:
        if number == 0:
            assert second_began.wait(5)
        second_began.set()
        return number * number

    assert list(side_by_side(work, range(9), 2)) == [number * number for number in range(9)]
    assert list(side_by_side(work, [], 2)) == []


def test_an_error_reaches_who_asks() -> None:
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(lambda number: 1 // number, [1, 0, 1], 2))


def test_closed_early_it_leaves_what_has_not_begun_and_waits_for_what_has() -> None:
    done: list[int] = []
    began, release = Barrier(3), Event()

    def work(number: int) -> None:
        if number in (1, 2):
            began.wait(5)
            assert release.wait(5)
        done.append(number)

    outcomes = side_by_side(work, range(1000), 2)
    next(outcomes)
    began.wait(5)  # 1 and 2 have begun, and end when it has been closing for a while
    timer = Timer(0.3, release.set)
    timer.start()
    outcomes.close()
    assert sorted(done) == [0, 1, 2]
    timer.join()
    sleep(0.05)
    assert len(done) == 3


def test_an_interrupt_waits_for_nothing() -> None:
    began, release, ended = Event(), Event(), Event()

    def work(number: int) -> None:
        if number:
            began.set()
            release.wait(5)
            ended.set()

    outcomes = side_by_side(work, [0, 1], 2)
    next(outcomes)
    assert began.wait(5)
    with pytest.raises(KeyboardInterrupt):
        outcomes.throw(KeyboardInterrupt)
    assert not ended.is_set()
    release.set()
