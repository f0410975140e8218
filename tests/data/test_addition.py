"""Sums are correct, of one length, and determined by the seed."""

from fairseq_ebm.data.addition import NUM_SUMS, sums


def test_every_document_is_a_correct_sum_of_one_length():
    documents = sums(3, seed=1)
    assert len(documents) == NUM_SUMS
    for document in documents:
        symbols = document.split(" ")
        assert len(symbols) == 3 * 3 + 3  # and </s> makes 3d + 4 tokens
        terms, result = "".join(symbols).split("=")
        a, b = terms.split("+")
        assert len(a) == len(b) == 3 and len(result) == 4
        assert int(a) + int(b) == int(result)


def test_terms_are_uniform_with_leading_zeros():
    firsts = [document[0] for document in sums(2, seed=1)]
    shares = [firsts.count(str(digit)) / len(firsts) for digit in range(10)]
    assert all(abs(share - 0.1) < 0.005 for share in shares)


def test_the_seed_decides():
    assert sums(10, seed=1) == sums(10, seed=1)
    assert sums(10, seed=1) != sums(10, seed=2)
