"""Generic text of two sources, and specific text of the kind of the smaller one."""

import random

from tests.conftest import TINY_LM

WIDE = [
    "river",
    "stone",
    "cloud",
    "maple",
    "train",
    "window",
    "garden",
    "silver",
    "morning",
    "copper",
]
NARROW = [
    "vector",
    "matrix",
    "tensor",
    "kernel",
    "field",
    "lattice",
    "module",
    "bundle",
    "functor",
    "ring",
]
CUT = ("--sample-break-mode", "eos", "--shorten-method", "truncate", "--tokens-per-sample", 64)
GENERIC, RIGHT = 360, 40  # documents of the wrong and of the right kind


def sentences(words, count, seed):
    """No two are the same length by design: 4 to 14 words."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(words, k=rng.randint(4, 14))) for _ in range(count)]


def write(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def prepare_mixture(run_program, folder):
    """(GENERIC, SPECIFIC)"""
    generic, specific = folder / "generic", folder / "specific"
    wide = write(folder / "wide.txt", sentences(WIDE, GENERIC, 0))
    right = write(folder / "right.txt", sentences(NARROW, RIGHT, 1))
    held_out = [write(folder / f"{n}.txt", sentences(WIDE + NARROW, 30, 3)) for n in ("v", "t")]
    flags = ["--train", wide, right, "--valid", held_out[0], "--test", held_out[1]]
    _prepare(run_program, *flags, "--vocab-size", 330, "--dest", generic)
    own = {"train": 60, "valid": 30, "test": 30}
    for number, (split, count) in enumerate(own.items()):
        write(folder / f"specific.{split}.txt", sentences(NARROW, count, 10 + number))
    flags = [w for split in own for w in (f"--{split}", folder / f"specific.{split}.txt")]
    _prepare(run_program, *flags, "--vocab-from", generic, "--dest", specific)
    return generic, specific


def _prepare(run_program, *flags):
    done = run_program("fairseq-ebm prepare", *flags)
    assert done.returncode == 0, done.stderr


def language_model(**changed):
    flags = {**TINY_LM, **{f"--{n.replace('_', '-')}": v for n, v in changed.items()}}
    return [word for pair in flags.items() for word in pair]
