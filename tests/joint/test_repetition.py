from fairseq_ebm.joint.repetition import unique_ngrams

from fairseq_ebm.joint.pools import Generation, Text


def text(tokens):
    return Text(tokens, -1.0, -1.0)


def test_each_kind_is_counted_over_all_prompts():
    generations = [
        Generation(text([1, 2, 3]), text([1, 1, 1]), text([1, 2, 1]), truncated=False),
        Generation(text([4, 5, 6]), text([1, 1, 1]), text([1, 2, 3]), truncated=True),
    ]
    two, three = unique_ngrams(generations, (2, 3))
    assert two == {"n": 2, "real": 1.0, "base": 1 / 4, "joint": 3 / 4}
    assert three == {"n": 3, "real": 1.0, "base": 1 / 2, "joint": 1.0}
