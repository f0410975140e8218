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
    package_data={
        "fairseq_ebm.explore": ["static/*"],
        "fairseq_ebm.human_eval": ["page.html"],
        "fairseq_ebm.reports": ["page.html", "style.css"],
    },
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
        "tabulate",  # which fairseq brings
        "jinja2",  # which torch brings
    ],
    extras_require={
        "hf": ["transformers>=4.40"],
        "explore": ["starlette>=0.37", "uvicorn>=0.29"],
        "lora": ["transformers>=4.40", "peft"],
        "dev": [
            "mpmath",  # 60 digits
            "pytest>=8",
            "pytest-xdist",
            "ruff",
            "mypy",
            "transformers>=4.40,<5",
            "peft",
            "selenium>=4.12",
            "starlette>=0.37",
            "uvicorn>=0.29",
        ],
    },
    entry_points={
        "console_scripts": ["fairseq-ebm = fairseq_ebm.cli.main:main"],
    },
)
