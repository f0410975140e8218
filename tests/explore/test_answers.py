"""Answers line by line, with what went wrong, and an end when who asked has left."""

import asyncio
import json
import threading

import pytest

from fairseq_ebm.errors import OptionError, UserError
from fairseq_ebm.explore.answers import BUSY, FAULT, Answer, in_words_of, json_object
from fairseq_ebm.explore.turns import Turns


def told(answer, leaves_after=None):
    """The lines of an answer to somebody who leaves after so many of them, or never."""
    lines = []

    async def run():
        left = asyncio.Event()

        async def receive():
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            if message.get("body"):
                lines.append(json.loads(message["body"]))
                if len(lines) == leaves_after:
                    left.set()

        await asyncio.wait_for(answer({"type": "http"}, receive, send), 10)

    asyncio.run(run())
    return lines


def test_every_step_is_a_line():
    steps = [{"event": "begin", "text": "<script>\n</script>"}, {"event": "end"}]
    assert told(Answer(Turns(), iter(steps))) == steps


def test_what_a_user_can_mend_is_said_and_what_not_is_not():
    def fails(error):
        yield {"event": "begin"}
        raise error

    last = told(Answer(Turns(), fails(UserError("Prompt: too long"))))[-1]
    assert last == {"event": "error", "message": "Prompt: too long"}
    last = told(Answer(Turns(), fails(RuntimeError("/home/me/secret.pt"))))[-1]
    assert last == {"event": "error", "message": FAULT}


def test_who_leaves_ends_the_work():
    made = []

    def endless():
        while True:
            made.append(1)
            yield {"event": "step"}

    turns = Turns(most=1)
    told(Answer(turns, endless()), leaves_after=3)
    before = len(made)
    threading.Event().wait(0.2)
    assert len(made) <= before + 1
    assert told(Answer(turns, iter([{"event": "end"}]))) == [{"event": "end"}]


def test_too_many_at_once():
    turns, gate = Turns(most=1), threading.Event()

    def waiting():
        gate.wait(10)
        yield {"event": "end"}

    turns.ask(waiting(), lambda step: None)
    assert told(Answer(turns, iter([{}]))) == [{"event": "error", "message": BUSY}]
    gate.set()


def test_fields_are_called_as_the_page_calls_them():
    def fails():
        yield {"event": "begin"}
        raise OptionError("{top_k}: too many")

    last = told(Answer(Turns(), in_words_of(fails(), {"top_k": "Top-k"})))[-1]
    assert last == {"event": "error", "message": "Top-k: too many"}


def test_all_end_together():
    """On Ctrl-C: each is told, and none is cut off."""
    turns, going = Turns(), threading.Event()

    def endless():
        while True:
            going.set()
            yield {"event": "step"}

    threading.Thread(target=lambda: (going.wait(10), turns.end())).start()
    assert told(Answer(turns, endless()))[-1] == {"event": "step"}
    turns.wait(10)


BAD = [(b"{", "no JSON"), (b"[]", "no object"), (b"[" * 100_000, "no JSON"), (b"\xff", "no JSON")]


@pytest.mark.parametrize(("body", "message"), BAD)
def test_bodies_that_are_no_question(body, message):
    with pytest.raises(UserError, match=message):
        json_object(body)
