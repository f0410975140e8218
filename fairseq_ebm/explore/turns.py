"""One thread computes; those who ask take turns, a step of their work each.

So two people at the page do not mix their texts nor wait for each other's last token, no model is
used by two threads at once, and who has left costs one step more at most.
"""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, Callable, Deque

Tell = Callable[[Any], None]


class Busy(Exception):
    """So many are waiting that one more would wait for minutes."""


class Done:
    """Told after the last step."""


class Job:
    """``tell`` is called, in the thread that computes, with each result, an exception that ended
    the work, or ``Done``."""

    def __init__(self, work: Iterator[Any], tell: Tell) -> None:
        self.work, self.tell, self.is_wanted = work, tell, True

    def leave(self) -> None:
        """Nobody waits for it any more."""
        self.is_wanted = False


class Turns:
    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._jobs: Deque[Job] = deque()
        self._changed = threading.Condition()
        self._active, self._ends = 0, False
        self._thread = threading.Thread(target=self._run, name="turns", daemon=True)
        self._thread.start()

    def ask(self, work: Iterator[Any], tell: Tell) -> Job:
        job = Job(work, tell)
        with self._changed:
            if self._active >= self._most:
                raise Busy
            self._active += 1
            self._jobs.append(job)
            self._changed.notify()
        return job

    def end(self) -> None:
        """No more steps; who waits is told that all is done. Returns at once."""
        with self._changed:
            self._ends = True
            left, self._jobs = list(self._jobs), deque()
            self._changed.notify()
        for job in left:
            _told(job, Done())

    def wait(self, seconds: float) -> None:
        """For the step that was under way: a process must not end within it."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._ends)
                if self._ends:
                    return
                job = self._jobs.popleft()
            goes_on = job.is_wanted and self._step(job)
            with self._changed:
                if goes_on and self._ends:
                    _told(job, Done())
                elif goes_on:
                    self._jobs.append(job)
                else:
                    self._active -= 1
            if not goes_on:
                job.work = iter(())  # what it held in memory

    def _step(self, job: Job) -> bool:
        try:
            result = next(job.work)
        except StopIteration:
            _told(job, Done())
            return False
        except Exception as error:  # whatever it is, the next in line has its turn
            _told(job, error)
            return False
        return _told(job, result)


def _told(job: Job, result: Any) -> bool:
    """Whether there was anybody to hear it."""
    try:
        job.tell(result)
    except Exception:
        return False
    return True
