"""A joint model of sums to explore, in this process and behind a page."""

import json
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from fairseq_ebm.explore.options import Explore
from fairseq_ebm.explore.subject import load
from tests.conftest import ours


@pytest.fixture(scope="session")
def flags(sums, sums_lm, sums_energy):
    store = Path(sums_energy).parent / "neg"
    return {"data": sums, "path": f"{sums_lm}:{sums_energy}", "store": store, "cpu": True,
            "calibration": 60}  # fmt: skip


@pytest.fixture(scope="session")
def subject(flags):
    return load(Explore(**flags))


class Server:
    """``fairseq-ebm explore`` in a process of its own."""

    def __init__(self, *words, cwd=None):
        self.process = subprocess.Popen(
            ours("explore", *words, "--port", 0), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, cwd=cwd,
        )  # fmt: skip
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + self.process.stdout.read()
        self.url = found[0]

    def end(self):
        """By Ctrl-C: what it says then."""
        self.process.send_signal(signal.SIGINT)
        rest = self.process.communicate(timeout=30)[0]
        assert self.process.returncode == 0, rest
        return rest

    def ask(self, name, timeout=60, headers=None, **question):
        body = json.dumps(question).encode()
        headers = {"content-type": "application/json", **(headers or {})}
        request = urllib.request.Request(f"{self.url}api/{name}", body, headers)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return [json.loads(line) for line in answer]


@pytest.fixture(scope="session")
def server(flags, tmp_path_factory, run_program):
    words = [flags["data"], "--path", flags["path"], "--store", flags["store"], "--cpu"]
    runs = tmp_path_factory.mktemp("runs")
    report = ["--window", 10, "--stride", 10, "--max-windows", 20, "--num-samples", 20, "--cpu"]
    report += ["--prefix-length", 6, "--results-path", runs / "sums.json"]
    done = run_program("fairseq-ebm eval-lm", flags["data"], "--path", flags["path"], *report)
    assert done.returncode == 0, done.stderr
    started = Server(*words, "--calibration", 60, "--results", runs)
    yield started
    started.process.terminate()
    started.process.wait(20)
