"""Python's own topics as if they were books, a sentence a line, for --size tiny: tiny.py DEST"""

import argparse
from pathlib import Path
from pydoc_data.topics import topics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dest", type=Path, metavar="DEST")
    raw = parser.parse_args().dest
    raw.mkdir(parents=True, exist_ok=True)
    for name, text in sorted(topics.items())[:40]:
        sentences = " ".join(text[:2000].lower().split()).split(". ")
        (raw / f"{name}.txt").write_text("".join(f"{s} .\n" for s in sentences), encoding="utf-8")


if __name__ == "__main__":
    main()
