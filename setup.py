"""Installs the plugin and its programs.

fairseq's isolated build would fetch a torch of its own choice, so install under
the constraints file, as the Makefile does:

    PIP_CONSTRAINT=constraints.txt pip install -e .
"""

from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).resolve().parent
version: dict = {}
exec((here / "fairseq_ebm" / "version.py").read_text(encoding="utf-8"), version)

setup(
    name="fairseq-ebm",
    version=version["__version__"],
    description="Residual energy-based models of text, as a plugin for fairseq",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["fairseq_ebm", "fairseq_ebm.*"]),
    package_data={"fairseq_ebm.human_eval": ["page.html"]},
    python_requires=">=3.9,<3.13",
    install_requires=[
        # One code base under one import name: the official release cannot be
        # imported from Python 3.11 on, its maintained build can.
        "fairseq==0.12.2; python_version < '3.11'",
        "fairseq-fixed==0.12.3.1; python_version >= '3.11'",
        "torch>=2.5,<=2.13.0",  # the newest version tested; beyond it pip fetches gigabytes
        # Both use names of numpy that later versions removed, each its own.
        "numpy<1.24; python_version < '3.11'",
        "numpy<2; python_version >= '3.11'",
        "scipy",  # bootstrap intervals
        "matplotlib",
        "scikit-learn",  # ROC curves, TF-IDF
        "pyyaml",
        "sentencepiece>=0.2",
        "tqdm",
    ],
    extras_require={
        "hf": ["transformers>=4.40,<5"],
        "dev": [
            "mpmath",  # 60 digits
            "pytest>=8",
            "pytest-xdist",
            "ruff",
            "mypy",
            "transformers>=4.40,<5",
            "selenium>=4.12",
        ],
    },
    entry_points={
        "console_scripts": [
            "fairseq-ebm-prepare = fairseq_ebm.cli.prepare:main",
            "fairseq-ebm-negatives = fairseq_ebm.cli.negatives:main",
            "fairseq-ebm-eval-lm = fairseq_ebm.cli.eval_lm:main",
            "fairseq-ebm-next-token = fairseq_ebm.cli.next_token:main",
            "fairseq-ebm-analyse = fairseq_ebm.cli.analyse:main",
            "fairseq-ebm-discriminate = fairseq_ebm.cli.discriminate:main",
            "fairseq-ebm-weaknesses = fairseq_ebm.cli.weaknesses:main",
            "fairseq-ebm-human-eval = fairseq_ebm.cli.human_eval:main",
            "fairseq-ebm-report = fairseq_ebm.cli.report:main",
            "fairseq-ebm-run = fairseq_ebm.cli.recipe:main",
            "fairseq-ebm-matrix = fairseq_ebm.cli.matrix:main",
        ],
    },
)
