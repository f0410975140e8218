"""Python's own topics in the shape of WikiText's raw files, for --size tiny: tiny.py DEST"""

import argparse
import re
from pathlib import Path
from pydoc_data.topics import topics


def article(name: str, text: str) -> str:
    words = re.sub(r"([,.;:!?()\"])", r" \1 ", text).replace("-", " @-@ ")
    paragraphs = [" ".join(part.split()) for part in words.split("\n\n")]
    return f" = {name} = \n \n" + "".join(f" {part} \n" for part in paragraphs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dest", type=Path, metavar="DEST")
    raw = parser.parse_args().dest
    raw.mkdir(parents=True, exist_ok=True)
    articles = [article(name, text[:700]) for name, text in sorted(topics.items())]
    for split, part in (("train", articles[8:]), ("valid", articles[:4]), ("test", articles[4:8])):
        (raw / f"wiki.{split}.raw").write_text("".join(part), encoding="utf-8")


if __name__ == "__main__":
    main()
