"""The explorer under load: explorer.py DATA LM.pt:ENERGY.pt NEG

Ten people ask fifty questions at once, of all four kinds, three times. How long until the first
line of an answer and the last, and what the server holds in memory after each round (Linux).
"""

import argparse
import json
import re
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
from tabulate import tabulate

PEOPLE, QUESTIONS, ROUNDS = 10, 50, 3
RESULTS = ("proposals", "bounds", "candidates", "verdict")  # not what is there without sampling

Question = Tuple[str, Dict[str, Any]]


def asked(url: str, question: Question) -> Tuple[float, float]:
    """Seconds until the first result, and the last line."""
    name, fields = question
    headers, first, began = {"content-type": "application/json"}, None, time.monotonic()
    request = urllib.request.Request(f"{url}api/{name}", json.dumps(fields).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        for line in answer:
            event = json.loads(line)
            if event["event"] == "error":
                raise SystemExit(f"{name}: {event['message']}")
            if first is None and event["event"] in RESULTS:
                first = time.monotonic() - began
    assert first is not None and event["event"] == "end"
    return first, time.monotonic() - began


def questions(url: str) -> List[Question]:
    with urllib.request.urlopen(f"{url}api/about") as answer:
        examples = json.load(answer)["models"]["examples"]
    found: List[Question] = []
    for each in examples:
        given = {"prefix": each["prefix"], "continuation": each["continuation"]}
        found.append(("write", {"prompt": each["prefix"], "proposals": 256, "length": 20}))
        found.append(("likely", {**given, "samples": 256}))
        found.append(("next", given))
        found.append(("judge", {"text": each["texts"][1]}))
    return list(islice(cycle(found), QUESTIONS))


def megabytes(process: "subprocess.Popen[str]") -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for name in ("data", "path", "store"):
        parser.add_argument(name)
    given = parser.parse_args()
    words = ["explore", given.data, "--path", given.path, "--store", given.store, "--port", "0"]
    command = [str(Path(sys.executable).parent / "fairseq-ebm"), *words, "--cpu"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        url, rows = found[0], []
        todo = questions(url)
        alone = {name: asked(url, (name, fields)) for name, fields in todo[:4]}
        for name, (first, last) in alone.items():
            rows.append([f"{name}, alone", f"{first:.2f}", f"{last:.2f}", "", ""])
        for number in range(1, ROUNDS + 1):
            began = time.monotonic()
            with ThreadPoolExecutor(PEOPLE) as people:
                times = np.array(list(people.map(lambda each: asked(url, each), todo)))
            took, (first, last) = time.monotonic() - began, np.median(times, axis=0)
            most = times.max(axis=0)
            rows.append([
                f"{QUESTIONS} by {PEOPLE}, round {number}", f"{first:.2f} (at most {most[0]:.2f})",
                f"{last:.2f} (at most {most[1]:.2f})", f"{took:.1f}", f"{megabytes(process):,.0f}",
            ])  # fmt: skip
        heads = ["", "first result, s", "all, s", "round, s", "memory, MiB"]
        print(tabulate(rows, heads, "github", disable_numparse=True))
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":
    main()
