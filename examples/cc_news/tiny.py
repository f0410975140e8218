"""Python's own topics as if they were news, for --size tiny: tiny.py DEST"""

import argparse
import gzip
import json
from pathlib import Path
from pydoc_data.topics import topics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dest", type=Path, metavar="DEST")
    raw = parser.parse_args().dest
    raw.mkdir(parents=True, exist_ok=True)
    texts = [text[:400] for text in topics.values()]
    articles = [{"text": text, "language": "en"} for text in texts]
    articles += [{"text": "Ein Artikel.", "language": "de"}, articles[0]]
    lines = "".join(json.dumps(each) + "\n" for each in articles)
    with gzip.open(raw / "news.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(lines)


if __name__ == "__main__":
    main()
