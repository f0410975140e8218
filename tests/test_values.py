"""Values of options: what is read, and what is refused with which words."""

import pytest

from fairseq_ebm.values import (
    one_of,
    read_flag,
    read_number,
    read_path,
    read_text,
    share_from,
    whole_from,
    wholes_from,
)


@pytest.mark.parametrize("text", ["0", "11", "1.5", "many", "", None])
def test_whole_refuses(text):
    assert whole_from(1, 10)("10") == 10
    with pytest.raises(ValueError, match="from 1 up to 10"):
        whole_from(1, 10)(text)


def test_other_kinds():
    assert [share_from(0)(text) for text in ("0.1%", "0.25", "2/3", 0.5)] == [
        0.001,
        0.25,
        2 / 3,
        0.5,
    ]
    with pytest.raises(ValueError, match="is not a share from 0 to 1; 5% may be meant"):
        share_from(0)("5")
    assert wholes_from(0)("4,8") == wholes_from(0)([4, 8]) == (4, 8) and wholes_from(0)(4) == (4,)
    with pytest.raises(ValueError, match="whole numbers from 1 with commas"):
        wholes_from(1)("4,0")
    with pytest.raises(ValueError, match="'x' is not a number"):
        read_number("x")
    for value in ("nan", "inf", float("nan"), True):
        with pytest.raises(ValueError, match="is not a number"):
            read_number(value)
    with pytest.raises(ValueError, match="'c' is none of a, b"):
        one_of(("a", "b"))("c")


def test_what_is_no_text():
    assert (read_text("a"), read_path("a"), read_text(read_path("a"))) == ("a", read_path("a"), "a")
    for read, value in ((read_text, None), (read_path, 3), (read_path, ""), (read_flag, "no")):
        with pytest.raises(ValueError, match=r"is no text|an empty path|neither True nor False"):
            read(value)
