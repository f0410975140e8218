import hashlib

from fairseq_ebm.files import sha256_of, write_whole


def test_sha256(tmp_path):
    content = bytes(range(256)) * 9000
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a file"
    path.write_bytes(b"before")
    write_whole(path, b"after")
    assert path.read_bytes() == b"after" and list(tmp_path.iterdir()) == [path]
