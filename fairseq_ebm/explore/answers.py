"""An answer that comes in lines of JSON, one for each step of the work that makes it."""

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from ..errors import OptionError, UserError
from ..options import Record
from ..records import strict_json
from .turns import Busy, Done, Turns

logger = logging.getLogger(__name__)

BUSY = "Many are at work here already. Try again in a moment."
FAULT = "Something went wrong here, which is no fault of yours; the window of the server says what."
HEADERS = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]


class Answer:
    """An ASGI application: tells each step, until all are done or who asked has left."""

    def __init__(self, turns: Turns, work: Iterator[Record]) -> None:
        self._turns, self._work = turns, work

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[Any] = asyncio.Queue()

        def tell(step: Any) -> None:
            loop.call_soon_threadsafe(told.put_nowait, step)

        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        try:
            job = self._turns.ask(self._work, tell)
        except Busy:
            await send(_last({"event": "error", "message": BUSY}))
            return
        left = asyncio.ensure_future(_disconnected(receive))
        try:
            await self._tell_all(told, left, send)
        except OSError:  # the connection broke
            pass
        finally:
            job.leave()
            left.cancel()

    async def _tell_all(self, told: "asyncio.Queue[Any]", left: Any, send: Any) -> None:
        while True:
            step = asyncio.ensure_future(told.get())
            await asyncio.wait({step, left}, return_when=asyncio.FIRST_COMPLETED)
            if left.done():
                step.cancel()
                return
            result = step.result()
            if isinstance(result, Done):
                await send(_last(None))
                return
            if isinstance(result, Exception):
                await send(_last({"event": "error", "message": message_of(result)}))
                return
            await send(_part(result, more=True))


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _part(record: Optional[Record], more: bool) -> Any:
    body = b"" if record is None else f"{strict_json(record)}\n".encode()
    return {"type": "http.response.body", "body": body, "more_body": more}


def _last(record: Optional[Record]) -> Any:
    return _part(record, more=False)


def in_words_of(work: Iterator[Record], labels: Mapping[str, str]) -> Iterator[Record]:
    """With what is wrong called as the page calls it."""
    try:
        yield from work
    except OptionError as error:
        raise error.in_flags(labels) from None


def message_of(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    logger.error("a request of the page failed", exc_info=error)
    return FAULT


def json_object(body: bytes) -> Record:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise UserError("the request is no JSON") from None
    if not isinstance(found, dict):
        raise UserError("the request is no object of JSON")
    return found
