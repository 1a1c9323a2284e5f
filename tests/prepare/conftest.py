"""A small source and the set made of it, once for all tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # broken.py, misbehaving.py
from broken import write_good

from core.data.prepare.options import Content, Limits, PrepareConfig, Rules, Task
from core.data.prepare.run import prepare


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """`datasets` unpacks shards into its cache: not into the user's."""
    import datasets

    datasets.config.HF_DATASETS_CACHE = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    write_good(folder, 60)
    return folder


def config(src, dst, *, rules=None, workers=2, timeout=20.0, **content) -> PrepareConfig:
    task = Task(rules or Rules(), Limits(timeout=timeout, max_file_mb=64), Content(**{"shard_size": 16, **content}))
    return PrepareConfig(str(src), str(dst), task, workers=workers)


@pytest.fixture(scope="session")
def made(source, tmp_path_factory) -> Path:
    """The set of `source`, in four shards."""
    folder = tmp_path_factory.mktemp("sets") / "made"
    prepare(config(source, folder))
    return folder


@pytest.fixture(scope="session")
def make_config():
    return config


@pytest.fixture(scope="session")
def shared_data():
    """Artist-made meshes that lie beside the repository on some machines; never in it."""
    import numpy as np

    file = Path(__file__).resolve().parents[3] / "shared" / "data" / "lowpoly_cc0.npz"
    if not file.is_file():
        pytest.skip(f"{file} is not on this machine")
    with np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}
