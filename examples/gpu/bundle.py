"""One folder with all that a machine with a GPU needs to measure this package: bundle.py DEST

For Python 3.12 on Linux with torch (2.11 or later) and numpy, and no network: wheels without their
tests and examples, compressed more tightly, a small prepared text, the benchmarks and visit.py.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Optional, Sequence

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
MOST = 55  # MiB
PLATFORMS = [f"manylinux_2_{n}_x86_64" for n in (28, 27, 26, 24, 17)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux1_x86_64"]
UNUSED = re.compile(
    r"(^|/)tests?/|^fairseq/examples/|^alignment_|^fairseq/lib(base|nat)|\.(pyx|pxd|cpp|hpp|h|c)$"
    r"|matplotlib/mpl-data/(sample_data|images|fonts/(afm|pdfcorefonts))/"
    r"|sklearn/datasets/(data|descr|images)/"
)
FILES = ["benchmarks/sampling.py", "benchmarks/launches.py", "benchmarks/energies.py",
         "benchmarks/training.py", "benchmarks/timing.py", "tests/__init__.py",
         "tests/stores.py", "examples/demo/demo.yaml", "examples/gpu/visit.py",
         "examples/gpu/steps.yaml", "examples/gpu/check.py", "examples/gpu/processes.py",
         "examples/gpu/parts.py", "examples/gpu/bounds.yaml"]  # fmt: skip


def run(*words: object, **more: object) -> None:
    subprocess.run([str(word) for word in words], check=True, **more)  # type: ignore[call-overload]


def fetch(folder: Path) -> None:
    """Wheels of wheels.txt, and our own. What has no wheel is built: it is pure Python."""
    pip = [sys.executable, "-m", "pip"]
    lines = (HERE / "wheels.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    source = [each for each in wanted if each.startswith("antlr4")]
    ready = [each for each in wanted if each not in source]
    # Constraints are of the Python that runs this, not of the one there.
    without = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    flags = ["--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp"]
    flags += [word for each in PLATFORMS for word in ("--platform", each)]
    run(*pip, "download", "--quiet", "--no-deps", *flags, "--dest", folder, *ready, env=without)
    run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, *source, env=without)
    run(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder,
        CHECKOUT, env=without)  # fmt: skip


def lean(wheel: Path, folder: Path) -> None:
    """The wheel without what nobody needs there, which its list of files leaves out, too."""
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(folder / wheel.name, "w") as small:
        for info in whole.infolist():
            if UNUSED.search(info.filename):
                continue
            content = whole.read(info)
            if info.filename.endswith(".dist-info/RECORD"):
                lines = content.decode().splitlines()
                kept = [line for line in lines if not UNUSED.search(line.partition(",")[0])]
                content = "".join(f"{line}\n" for line in kept).encode()
            small.writestr(info, content, zipfile.ZIP_LZMA)


def megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def main(words: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dest", type=Path)
    dest: Path = parser.parse_args(words).dest
    shutil.rmtree(dest, ignore_errors=True)
    (dest / "wheels").mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        fetch(Path(folder))
        for wheel in sorted(Path(folder).glob("*.whl")):
            lean(wheel, dest / "wheels")
    for name in FILES:
        (dest / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / name, dest / name)
    program = Path(sys.executable).parent / "fairseq-ebm"
    run(program, "prepare", "--corpus", "pydocs", "--vocab-size", 2000, "--dest", dest / "data",
        "--quiet")  # fmt: skip
    size = megabytes(dest)
    print(f"{dest}: {size:.1f} MiB. There: python3 examples/gpu/visit.py --out OUT")
    if size > MOST:
        raise SystemExit(f"{dest}: {size:.1f} MiB, more than {MOST}")


if __name__ == "__main__":
    main()
