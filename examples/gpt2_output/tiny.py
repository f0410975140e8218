"""Files named as those of the gpt-2-output-dataset, for --size tiny: tiny.py DEST

webtext is of Python's own topics; the models' texts are the same words, out of order.
"""

import argparse
import json
import random
from pathlib import Path
from pydoc_data.topics import topics

MODELS = ("small-117M", "medium-345M", "large-762M", "xl-1542M")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dest", type=Path, metavar="DEST")
    raw = parser.parse_args().dest
    raw.mkdir(parents=True, exist_ok=True)
    texts = [text[:400] for text in topics.values()]
    (raw / "text.txt").write_text("\n".join(texts), encoding="utf-8")
    order = random.Random(1)
    order.shuffle(texts)
    for model in ("webtext", *MODELS, *(f"{model}-k40" for model in MODELS)):
        for split, part in (("train", texts[20:]), ("valid", texts[:10]), ("test", texts[10:20])):
            lines = [json.dumps({"text": as_by(model, text, order)}) for text in part]
            (raw / f"{model}.{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")


def as_by(model: str, text: str, order: random.Random) -> str:
    words = text.split()
    return text if model == "webtext" else " ".join(order.sample(words, len(words)))


if __name__ == "__main__":
    main()
