"""Installed programs as child processes that need not import fairseq and torch, which takes
seconds: a server has imported both, does nothing else, and forks a process for every program."""

import multiprocessing
import os
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from multiprocessing import connection
from pathlib import Path
from typing import Any, Callable, Dict, Optional

from ..errors import UserError
from ..progress import log_progress

ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
SERVER: Any = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([
    "fairseq_ebm",  # first, so that the next one registers what is ours
    "fairseq_cli.train",
    "torch._dynamo",  # fairseq's optimizers import it, which takes two seconds
    "fairseq_ebm.cli.main", "fairseq_ebm.negatives.generate", "fairseq_ebm.evaluation.eval_lm",
    "fairseq_ebm.detection.discriminate", "fairseq_ebm.weaknesses.questions",
    "fairseq_ebm.reports.kinds",
])  # fmt: skip


def installed_programs() -> Dict[str, Any]:
    found: Any = entry_points()
    is_old = not hasattr(found, "select")  # Python 3.9
    scripts = found["console_scripts"] if is_old else found.select(group="console_scripts")
    return {entry.name: entry for entry in scripts}


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits: a process that is just being started, or stopped, would belong to no one."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def start(command: Sequence[str], log: Path, threads: Optional[int]) -> Any:
    """A ``multiprocessing`` process, in a session of its own, that adds its output to ``log``."""
    process = SERVER.Process(target=_child, args=(tuple(command), str(log), threads))
    process.start()
    return process


def _child(command: Sequence[str], log: str, threads: Optional[int]) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where a shell said so
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    multiprocessing.set_start_method("fork", force=True)  # or workers that read data get a server
    if threads is not None:
        import torch  # noqa: PLC0415 (which the server has imported, and its parent does not need)

        torch.set_num_threads(threads)
    log_progress()
    become(command, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666))


def _end_with_parent() -> None:
    """If that is killed, the next run must not find us at work in the same place."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os.killpg(0, signal.SIGKILL)


def become(command: Sequence[str], out: int, err: Optional[int] = None) -> None:
    """Does what the installed script ``command[0]`` does, with its output to open files, and ends
    the process."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for stream, file in enumerate((nothing, out, out if err is None else err)):
        os.dup2(file, stream)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", buffering=1 if err is None else -1)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1)
    sys.argv, code = list(command), 0
    try:
        _main(command[0])()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)  # multiprocessing, under which we run, tidies up before it ends the process


def _main(name: str) -> Callable[[], Any]:
    if name.endswith(".py"):
        sys.path.insert(0, str(Path(name).resolve().parent))  # as for ``python name``
        return lambda: runpy.run_path(name, run_name="__main__")
    programs = installed_programs()
    if name not in programs:
        raise UserError(f"{name}: not installed")
    return programs[name].load()
