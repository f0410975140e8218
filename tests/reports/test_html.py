"""The page is whole, needs nothing else, and says what it was given, whatever is in it."""

import re
from html.parser import HTMLParser

import pytest

from fairseq_ebm.reports import html, markdown
from fairseq_ebm.reports.kinds import sections
from fairseq_ebm.reports.page import Named
from fairseq_ebm.reports.report import samples
from tests.reports import records

VOID = {"meta", "link", "br", "path", "use", "rect", "image"}


class Checked(HTMLParser):
    """Tags that are closed in order; the text between them."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.ids, self.targets = [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.targets += [v for k, v in attrs.items() if k in ("href", "src", "xlink:href")]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def parts():
    made = (records.perplexity(), records.next_token(), records.analysis(), records.detection())
    found = sections([Named(f"r{i}", record) for i, record in enumerate(made)], {})
    return [*found, samples("pools", [records.pools()])]


def test_the_page(parts):
    text = html.page("A <title>", parts, [("r0", '{"seed": "<1>"}')])
    page = Checked()
    page.feed(text)
    assert page.open == []
    words = "".join(page.text)
    for given in (
        "A <title>",
        "20.00 (18.00 to 22.00)",
        "three & four",
        "1 + 1 <=",
        '"<1>"',
        "a|b",
    ):
        assert given in words
    assert all(t.startswith("#") and t[1:] in page.ids for t in page.targets)
    assert not re.search(r"(?:src|href)=.?https?:|@import|url\(h|<script", text)
    assert text.count("<svg") == 5 == text.count('role="img" aria-label="r')
    assert 'name="viewport"' in text and "prefers-color-scheme: dark" in text


def test_pictures_take_the_colours_of_the_page(parts):
    text = html.page("", parts, [])
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        assert "#000000" not in svg and "currentColor" in svg
        assert not re.search(r"fill: #ffffff(?!; opacity: 0)", svg)


def test_markdown(parts):
    text = markdown.page("Title", parts)
    assert text.startswith("# Title\n\n## Perplexity\n")
    assert re.search(
        r"\| r0 +\| +20.00 \(18.00 to 22.00\) \| +18.00 to 19.00 \(16.65 to 20.35\) \|", text
    )
    assert "'a\\|b'" in text  # or it would be two cells
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        rows = block.splitlines()
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1 and len(rows) > 2
