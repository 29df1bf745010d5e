"""Work that several threads share, and that ends with the process that began it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def side_by_side(
    work: Callable[[Item], Outcome], items: Sequence[Item], at_once: int
) -> Generator[Outcome, None, None]:
    """`work` of each item, in their order, done by `at_once` threads.

    Closed early, it leaves what has not begun and waits for what has. Interrupted (Ctrl-C), it waits for nothing:
    unlike a ThreadPoolExecutor's, its threads hold up no process that is about to end.
    """
    todo: SimpleQueue[tuple[Item, Future[Outcome]]] = SimpleQueue()
    outcomes: list[Future[Outcome]] = [Future() for _ in items]
    for pair in zip(items, outcomes, strict=True):
        todo.put(pair)

    def serve() -> None:
        with suppress(Empty):
            while True:
                item, outcome = todo.get_nowait()
                try:
                    outcome.set_result(work(item))
                except BaseException as error:
                    outcome.set_exception(error)

    threads = [Thread(target=serve, daemon=True) for _ in range(min(at_once, len(items)))]
    for thread in threads:
        thread.start()
    try:
        for outcome in outcomes:
            yield outcome.result()
    except GeneratorExit:
        _empty(todo)
        for thread in threads:
            thread.join()
        raise
    finally:
        _empty(todo)


def _empty(queue: SimpleQueue[tuple[Item, Future[Outcome]]]) -> None:
    with suppress(Empty):
        while True:
            queue.get_nowait()
