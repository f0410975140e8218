"""``fairseq-ebm explore`` as a program: how it begins, serves many, and ends."""

import re
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from fairseq_ebm.errors import UserError
from fairseq_ebm.explore.options import Explore
from fairseq_ebm.explore.server import explore
from tests.explore.conftest import Server


def get(url, **headers):
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_page_and_its_parts(server):
    status, page = get(server.url)
    assert status == 200 and "<title>Explore a joint model</title>" in page
    parts = re.findall(r'(?:src|href)="(static/[^"]+)"', page)
    assert len(parts) == 4 and all(get(server.url + part)[0] == 200 for part in parts)
    assert not re.search(r"https?://", page)


@pytest.mark.parametrize(
    "name", ["../options.py", "..%2foptions.py", "%2fetc%2fpasswd", "options.py", ".."]
)
def test_no_other_file_is_served(server, name):
    assert get(f"{server.url}static/{name}")[0] == 404


def test_paths_stay_here(server, flags):
    about = get(f"{server.url}api/about")[1]
    assert "checkpoint_last.pt" in about and str(flags["data"]) not in about


def test_a_report_is_a_page_that_runs_nothing(server):
    status, page = get(f"{server.url}results")
    assert status == 200 and "Perplexity" in page and "<script" not in page


BAD = [
    ("write", {"prompt": "1 2", "proposals": 10**9}, "Proposals: '1000000000' is not a whole"),
    ("write", {"prompt": "1 " * 50_000}, "Prompt: 100,000 characters; 20,000 are the most"),
    ("judge", {"text": 3}, "Text: no text"),
    ("judge", {"text": "1", "path": "/etc/passwd"}, "path: not asked for here"),
    ("likely", {}, "Continuation: needed"),
    ("nothing", {}, "There is no such question"),
]


@pytest.mark.parametrize(("name", "question", "message"), BAD)
def test_bad_questions(server, name, question, message):
    with pytest.raises(urllib.error.HTTPError) as found:
        server.ask(name, **question)
    assert message in found.value.read().decode()
    assert server.ask("write", prompt="1 2 +", proposals=8, draws=1)[-1]["event"] == "end"


def test_what_turns_out_later_is_said_in_the_answer(server):
    (last,) = server.ask("write", prompt="never seen before")
    assert (
        last["event"] == "error" and "the vocabulary of the data does not know" in last["message"]
    )


def test_ten_people_at_once(server):
    """50 questions; all the same answer, which is that of one alone."""
    question = {"prompt": "1 2 + 3 4 =", "proposals": 64, "draws": 2, "length": 3}
    alone = server.ask("write", **question)
    with ThreadPoolExecutor(10) as people:
        answers = list(people.map(lambda _: server.ask("write", **question), range(50)))
    assert all(answer == alone for answer in answers)


def test_who_breaks_off_costs_no_one_else(server):
    address = re.fullmatch(r"http://(.+):(\d+)/", server.url).groups()
    body = b'{"prompt": "1 2", "proposals": 4096, "draws": 1}'
    head = f"POST /api/write HTTP/1.1\r\nHost: {':'.join(address)}\r\nContent-Length: {len(body)}"
    for _ in range(40):  # more than are served at once
        with socket.create_connection((address[0], int(address[1])), 10) as broken:
            broken.sendall(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + body)
            assert broken.recv(16)
    for _ in range(50):  # until they have been missed
        last = server.ask("write", prompt="1 2 +", proposals=8, draws=1)[-1]
        if last["event"] == "end":
            break
        time.sleep(0.1)
    assert last["event"] == "end"


def test_ctrl_c_ends_it(flags):
    words = [flags["data"], "--path", flags["path"], "--cpu"]
    started = Server(*words)
    assert started.url.startswith("http://127.0.0.1:")
    rest = started.end()
    assert "is closed" in rest and "Traceback" not in rest


def test_ctrl_c_while_it_computes(flags):
    """Who asked hears an end, and the process ends as ever."""
    started = Server(flags["data"], "--path", flags["path"], "--cpu")
    heard = []

    def ask():
        heard.extend(started.ask("write", prompt="1 2", proposals=4096, draws=1, length=8))

    asker = threading.Thread(target=ask)
    asker.start()
    time.sleep(0.3)
    rest = started.end()
    asker.join(20)
    assert "is closed" in rest and "Traceback" not in rest and "terminate" not in rest
    assert heard and heard[-1]["event"] == "proposals"


def test_reports_alone_need_no_models(tmp_path, run_program):
    (tmp_path / "a folder").mkdir()
    started = Server(tmp_path / "a folder", "--host", "0.0.0.0")
    try:
        url, token = started.url.split("?token=")
        local = re.sub("//[^:]+", "//127.0.0.1", url)
        assert get(local)[0] == 401 and len(token) > 20
        assert get(f"{local}?token={token}")[0] == 200
        assert get(f"{local}results?token={token}") == (
            500, f"{tmp_path / 'a folder'}: no report of our programs in it"
        )  # fmt: skip
    finally:
        started.process.terminate()
        started.process.wait(20)


def test_the_extra_is_named_where_it_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UserError, match=r"pip install 'fairseq_ebm\[explore\]'"):
        explore(Explore(data=tmp_path))


def test_what_cannot_be_explored(run_program, flags, sums_lm, sums_energy, tmp_path):
    def fails(*words):
        done = run_program("fairseq-ebm explore", *words)
        assert done.returncode == 2 and "Traceback" not in done.stderr
        return done.stderr

    assert "no such folder" in fails(tmp_path / "nothing")
    assert "--path: no energy" in fails(flags["data"], "--path", sums_lm, "--port", 0, "--cpu")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = fails(tmp_path, "--port", port)
    assert f"port {port}: " in message and "--port 0 takes one that is free" in message
    store = ["--store", tmp_path, "--port", 0, "--cpu"]
    assert "not a store of negatives" in fails(flags["data"], "--path", flags["path"], *store)
