"""What a window's bounds take, by part: parts.py DATA LM.pt:ENERGY.pt DEVICE PRECISIONS SAMPLES OUT

Seconds of proposing and of scoring ``SAMPLES`` continuations of 40 tokens after each of three
prefixes of 120, the median, after one that is not counted; for each of PRECISIONS (fp32,bf16).
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any, Dict

import numpy as np
import torch

from fairseq_ebm.data.streams import WindowStream
from fairseq_ebm.data.windows import WindowOptions, Windows
from fairseq_ebm.joint.checkpoints import load_joint_checkpoints
from fairseq_ebm.joint.proposals import propose

COUNTED = 3


def measured(data: Path, path: str, device: str, precision: str, samples: int) -> Dict[str, Any]:
    joint = load_joint_checkpoints(path, data, precision, torch.device(device)).joint()
    windows = Windows(data, "test", WindowOptions(window=160, stride=160, prefix_lengths=(120,)))
    pools = []
    for number in range(1 + COUNTED):
        prefix = torch.from_numpy(windows.tokens(number).astype(np.int64))[:120]
        pools.append(propose(joint, prefix, samples, 40, WindowStream(1, "test", number)))
    parts = zip(*(pool.seconds for pool in pools[1:]))
    proposing, scoring = map(statistics.median, parts)
    row = f"{samples} samples of a window, {precision}"
    return {"row": row, "proposing": proposing, "scoring": scoring}


def main(data: str, path: str, device: str, precisions: str, samples: str, out: str) -> None:
    rows = [
        measured(Path(data), path, device, precision, int(samples))
        for precision in precisions.split(",")
    ]
    print(*rows, sep="\n")
    Path(out).write_text(json.dumps({"rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
