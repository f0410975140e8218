"""Do several processes give what one gives? processes.py COUNT ONE.json OUT.json eval-lm …

ONE.json: what one process has reported, of the same words. Negatives, too, are made by one and by
all.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

FIGURES = ("base_ppl", "joint_ppl_lower", "joint_ppl_upper", "num_windows")
PROGRAM = [sys.executable, "-m", "fairseq_ebm"]


def several(count: int) -> List[str]:
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", str(count)]
    return [sys.executable, *launcher, "-m", "fairseq_ebm"]


def digest(folder: Path) -> str:
    """Of all arrays of a store."""
    parts = sorted(folder.rglob("*.npy"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()


def negatives(words: List[str], out: Path, count: int) -> bool:
    """Of the language model that ``words`` evaluate, with the same windows."""
    lm = words[words.index("--path") + 1].partition(":")[0]
    flags = ["negatives", words[1], "--path", lm, "--window", "160", "--stride", "160"]
    flags += ["--prefix-length", "120", "--max-windows", "24", "--subsets", "valid", "--quiet"]
    flags += ["--cpu"] if "--cpu" in words else []
    stores = [out.with_name(f"{out.stem}-neg-{name}") for name in ("one", "all")]
    for store, program in zip(stores, (PROGRAM, several(count))):
        shutil.rmtree(store, ignore_errors=True)
        subprocess.run([*program, *flags, "--dest", str(store)], check=True)
    subprocess.run([*PROGRAM, "negatives", "--merge", str(stores[1]), "--quiet"], check=True)
    return digest(stores[0]) == digest(stores[1])


def main() -> None:
    count, one, out, words = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]
    merged = out.with_name(f"{out.stem}-merged.json")
    for path in merged.parent.glob(f"{merged.name}*"):
        path.unlink()
    subprocess.run([*several(count), *words, "--results-path", str(merged)], check=True)
    subprocess.run([*PROGRAM, "eval-lm", "--merge", str(merged), "--quiet"], check=True)
    records = [json.loads(path.read_text()) for path in (one, merged)]
    rows: List[Dict[str, Any]] = [
        {"row": name, "one": records[0][name], "all": records[1][name],
         "same": abs(records[0][name] - records[1][name]) <= 1e-9 * abs(records[0][name])}
        for name in FIGURES
    ]  # fmt: skip
    rows.append({"row": "negatives, to the last bit", "same": negatives(words, out, count)})
    out.write_text(json.dumps({"processes": count, "rows": rows}, indent=2) + "\n")
    raise SystemExit(not all(row["same"] for row in rows))


if __name__ == "__main__":
    main()
