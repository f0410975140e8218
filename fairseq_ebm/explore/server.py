"""``fairseq-ebm explore``: one page, and what it asks for."""

import contextlib
import secrets
import socket
import webbrowser
from typing import Any, List, Optional

from ..errors import OptionError, UserError
from ..options import Record
from .options import Explore

STEP = 60.0  # seconds that a step may still take when all ends
NEEDED = "explore: needs starlette and uvicorn: pip install 'fairseq_ebm[explore]'"


def explore(options: Explore) -> Record:
    """Serves until it is interrupted."""
    try:
        import uvicorn  # noqa: PLC0415 (an extra)

        from .pages import Pages, application  # noqa: PLC0415
    except ImportError:
        raise UserError(NEEDED) from None
    token = None if options.is_open else secrets.token_urlsafe(16)
    with contextlib.closing(_listening(options)) as listening:
        address, pages = _address(options, listening, token), Pages(options)

        class Server(uvicorn.Server):
            async def startup(self, sockets: Optional[List[socket.socket]] = None) -> None:
                """From here on Ctrl-C is heeded."""
                await super().startup(sockets=sockets)
                print(f"Open {address} in a browser. Ctrl-C ends this.", flush=True)
                if options.open:
                    webbrowser.open(address)

            def handle_exit(self, sig: int, frame: Any) -> None:
                pages.turns.end()
                super().handle_exit(sig, frame)

        config = uvicorn.Config(
            application(pages, listening.getsockname()[1], token), log_level="warning",
            access_log=False, lifespan="off", ws="none", server_header=False,
            timeout_graceful_shutdown=2,
        )  # fmt: skip
        try:
            with contextlib.suppress(KeyboardInterrupt):
                Server(config).run(sockets=[listening])
        finally:
            pages.turns.end()
            pages.turns.wait(STEP)
    return {"kind": "explored", "address": address.partition("?")[0]}


def _listening(options: Explore) -> socket.socket:
    """At once, so that a port that is taken is told before models are read."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family)
    except OSError as error:
        problem = f"{options.host}, port {options.port}: {error.strerror or error}"
        raise OptionError(f"{{port}}: {problem}; {{port}} 0 takes one that is free") from None


def _address(options: Explore, listening: socket.socket, token: Optional[str]) -> str:
    name = socket.gethostname() if options.host in ("0.0.0.0", "::") else options.host
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{listening.getsockname()[1]}/" + (f"?token={token}" if token else "")
