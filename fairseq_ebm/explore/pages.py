"""The page, what it asks for, and the report of a run, as an ASGI application."""

from asyncio import Lock
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Callable, Optional, Tuple, Type

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ..errors import OptionError, UserError
from ..files import visible_in
from ..options import Record
from ..reports import html
from ..reports.options import Report
from ..reports.report import parts
from .answers import Answer, in_words_of, json_object, message_of
from .guard import Guard
from .judge import judge
from .likely import likely, next_token
from .options import LOOPBACK, Asked, Explore, Judge, Likely, Next, Write
from .subject import about, load
from .turns import Turns
from .write import write

STATIC, STYLE = Path(__file__).parent / "static", html.HERE / "style.css"
KINDS = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
QUESTIONS: Mapping[str, Tuple[Type[Asked], Callable[[Any, Any], Iterator[Record]]]] = {
    "write": (Write, write),
    "likely": (Likely, likely),
    "next": (Next, next_token),
    "judge": (Judge, judge),
}


class Pages:
    def __init__(self, options: Explore) -> None:
        self.turns = Turns()
        self._reports, self._page, self._report_lock = options.reports, ReportPage(), Lock()
        self._subject = load(options) if options.path is not None else None
        self._about = {
            "models": self._subject and about(self._subject),
            "results": options.reports is not None,
        }
        found = [STYLE, *(path for path in STATIC.iterdir() if path.suffix in KINDS)]
        self._files = {path.name: path.read_bytes() for path in found}

    async def page(self, request: Any) -> Response:
        return self._file("page.html")

    async def static(self, request: Any) -> Response:
        return self._file(request.path_params["name"])

    async def about(self, request: Any) -> Response:
        return JSONResponse(self._about)

    async def asked(self, request: Any) -> Any:
        found = QUESTIONS.get(request.path_params["name"])
        if found is None or self._subject is None:
            return JSONResponse({"message": "There is no such question."}, 404)
        kind, work = found
        try:
            question = _question(kind, json_object(await request.body()))
        except UserError as error:
            return JSONResponse({"message": message_of(error)}, 400)
        return Answer(self.turns, in_words_of(work(self._subject, question), kind.labels()))

    async def results(self, request: Any) -> Response:
        if self._reports is None:
            return _missing()
        try:
            async with self._report_lock:
                made = await run_in_threadpool(self._page.of, self._reports)
        except Exception as error:
            return Response(message_of(error), 500)
        return HTMLResponse(made)

    def _file(self, name: str) -> Response:
        if name not in self._files:
            return _missing()
        kind = KINDS[Path(name).suffix]
        return Response(self._files[name], 200, {"cache-control": "no-cache"}, kind)


class ReportPage:
    """A report as a page of its own, which the page shows in a frame; made anew when a file in the
    folder is. It uses no model: others need not wait for it."""

    def __init__(self) -> None:
        self._stamp: Any = None
        self._made = ""

    def of(self, folder: Path) -> str:
        stamp = [(path, path.stat().st_mtime_ns) for path in visible_in(folder)]
        if stamp != self._stamp:
            title = f"Results: {folder.name}"
            sections, origins = parts(Report(runs=(folder,), title=title))
            self._made, self._stamp = html.page(title, sections, origins), stamp
        return self._made


def application(pages: Pages, port: int, token: Optional[str] = None) -> Any:
    routes = [
        Route("/", pages.page),
        Route("/results", pages.results),
        Route("/static/{name}", pages.static),
        Route("/api/about", pages.about),
        Route("/api/{name}", pages.asked, methods=["POST"]),
    ]
    hosts = LOOPBACK if token is None else None
    return Guard(Starlette(routes=routes), hosts, token, f"fairseq-ebm-{port}")


def _missing() -> Response:
    return Response("There is nothing here.", 404)


def _question(kind: Type[Asked], given: Record) -> Asked:
    if unknown := sorted(set(given) - {each.name for each in fields(kind)}):
        raise UserError(f"{', '.join(unknown)}: not asked for here")
    try:
        return kind(**given)
    except OptionError as error:
        raise error.in_flags(kind.labels()) from None
