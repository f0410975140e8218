"""Who computes when: in turns, to the end, however others end."""

import queue
import threading

import pytest

from fairseq_ebm.explore.turns import Busy, Done, Turns


class Asker:
    def __init__(self, turns, work):
        self.told = queue.Queue()
        self.job = turns.ask(work, self.told.put)

    def hear(self):
        """All, to the end."""
        heard = []
        while not heard or not isinstance(heard[-1], (Done, Exception)):
            heard.append(self.told.get(timeout=10))
        return heard


def counting(name, steps, log, gate=None):
    if gate is not None:
        gate.wait(10)
    for step in range(steps):
        log.append(name)
        yield step


def test_two_take_turns():
    turns, log, gate = Turns(), [], threading.Event()
    first = Asker(turns, counting("a", 4, log, gate))
    second = Asker(turns, counting("b", 2, log))
    gate.set()
    assert first.hear()[:-1] == [0, 1, 2, 3] and second.hear()[:-1] == [0, 1]
    assert log == list("ababaa")


def test_a_fault_ends_its_own_work_alone():
    turns, log = Turns(), []

    def failing():
        yield "fine"
        raise ValueError("a fault")

    one, other = Asker(turns, failing()), Asker(turns, counting("b", 3, log))
    assert isinstance(one.hear()[-1], ValueError)
    assert isinstance(other.hear()[-1], Done)
    assert Asker(turns, counting("c", 1, log)).hear()[0] == 0


def test_who_has_left_costs_no_more_steps():
    turns, log, gate = Turns(), [], threading.Event()
    left = Asker(turns, counting("a", 1000, log, gate))
    stays = Asker(turns, counting("b", 3, log))
    left.job.leave()
    gate.set()
    assert isinstance(stays.hear()[-1], Done)
    assert log.count("a") <= 2


def test_no_more_than_can_be_served():
    turns, gate, log = Turns(most=2), threading.Event(), []
    askers = [Asker(turns, counting(name, 1, log, gate)) for name in "ab"]
    with pytest.raises(Busy):
        Asker(turns, counting("c", 1, log))
    gate.set()
    for each in askers:
        each.hear()
    late = None
    for _ in range(100):  # the place is free a moment after the end was told
        try:
            late = Asker(turns, counting("d", 1, log))
            break
        except Busy:
            threading.Event().wait(0.01)
    assert late is not None and isinstance(late.hear()[-1], Done)


def test_who_cannot_be_told_ends_alone():
    turns, log = Turns(), []

    def refuse(step):
        raise RuntimeError("the loop is closed")

    turns.ask(counting("a", 5, log), refuse)
    other = Asker(turns, counting("b", 3, log))
    assert isinstance(other.hear()[-1], Done) and log.count("a") == 1


def test_an_end_for_all():
    turns, gate, log = Turns(), threading.Event(), []
    askers = [Asker(turns, counting(name, 100, log, gate)) for name in "ab"]
    turns.end()
    gate.set()
    turns.wait(10)
    assert all(isinstance(each.hear()[-1], Done) for each in askers) and len(log) <= 1
