"""Energies trained by fairseq-train itself, and what it logged."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor

from tests.conftest import CHECKOUT
from tests.models.energies import FLAGS


class Trained:
    def __init__(self, done, folder):
        self.done, self.folder = done, folder
        self.error = done.stderr.strip().splitlines()[-1] if done.returncode else ""
        lines = [line for line in done.stdout.splitlines() if '| {"' in line]
        self._logged = [
            json.loads(line[line.index("| {") + 2 :]) for line in lines if "num_upd" in line
        ]

    @property
    def losses(self):
        return [float(log["loss"]) for log in self._logged if "loss" in log]

    def last(self, name):
        return next(float(log[name]) for log in reversed(self._logged) if name in log)


def command(neg, arch, folder, *flags, criterion="conditional_nce", task="residual_ebm_lm"):
    return [
        *[neg, "--user-dir", CHECKOUT / "fairseq_ebm", "--task", task, "--arch", arch],
        *[*FLAGS.get(arch, []), "--criterion", criterion, "--save-dir", folder, "--cpu"],
        *["--optimizer", "adam", "--lr", 0.003, "--batch-size", 8, "--seed", 1],
        *["--log-format", "json", "--log-interval", 1, "--num-workers", 0, *flags],
    ]


def train(run_program, neg, arch, folder, *flags, cwd=None, fails=False, **options):
    done = run_program("fairseq-train", *command(neg, arch, folder, *flags, **options), cwd=cwd)
    assert (done.returncode != 0) == fails, done.stderr
    return Trained(done, folder)


def train_in_two_processes(run_program, neg, arch, folder, *flags):
    """What each of them logged."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    flags += ("--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp")
    flags += ("--distributed-init-method", address, "--distributed-world-size", 2)
    flags += ("--distributed-no-spawn", "--distributed-rank")

    def run(rank):
        arguments = command(neg, arch, folder, *flags, rank)
        return Trained(run_program("fairseq-train", *arguments, cwd=folder), folder)

    with ThreadPoolExecutor(2) as pool:
        two = list(pool.map(run, (0, 1)))
    assert [t.done.returncode for t in two] == [0, 0], two[0].done.stdout + two[1].done.stdout
    return two
