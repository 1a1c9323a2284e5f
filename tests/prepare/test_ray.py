"""The same set from a Ray cluster on this machine, with two workers."""

from dataclasses import replace

import pytest

from core.data.prepare.run import prepare


def test_a_cluster_makes_the_same_set(source, made, tmp_path, make_config):
    pytest.importorskip("ray", reason="Ray is not installed (pip install ray)")
    prepare(replace(make_config(source, tmp_path / "set"), ray="local"))
    for shard in (made / "data").iterdir():
        assert (tmp_path / "set" / "data" / shard.name).read_bytes() == shard.read_bytes()
    assert (tmp_path / "set" / "rejected.jsonl").read_bytes() == (made / "rejected.jsonl").read_bytes()


def test_without_ray_it_says_what_to_install(source, tmp_path, make_config, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="pip install ray"):
        prepare(replace(make_config(source, tmp_path / "set"), ray="local"))
