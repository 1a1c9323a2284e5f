"""What a request brings beside its condition: normals of its points, temperatures of its own."""

import numpy as np
import pytest
import torch

from core import kernels
from core.generation import Request, SamplingConfig
from meto.surface import estimate_normals
from tests.generation import small
from tests.generation.test_face_decoder import GREEDY, SAMPLE, make, requests, run

WAYS = ("native", "torch", "masked")
HOT = SamplingConfig("sample", temperature=3.0)


def run_by(way, monkeypatch, asked, config=SAMPLE, slots=3):
    with monkeypatch.context() as patch:
        if way != "native":
            patch.setattr(kernels, "load", lambda: None)
        return run(make(), asked, config, slots, masked=way == "masked")


def with_options(asked, **options):
    return [Request(**{**vars(request), **options}) for request in asked]


@pytest.mark.parametrize("way", WAYS)
def test_normals_are_those_given_or_else_estimated(way, monkeypatch):
    asked = requests(5)
    plain = run_by(way, monkeypatch, asked)
    same = [with_options([request], normals=estimate_normals(request.points))[0] for request in asked]
    assert run_by(way, monkeypatch, same) == plain
    other = [with_options([request], normals=np.full_like(request.points, 3**-0.5))[0] for request in asked]
    assert run_by(way, monkeypatch, other) != plain


def test_normals_that_are_not_the_points_are_refused():
    request = requests(1)[0]
    for wrong in (request.points[:-1], request.points[:, :2]):
        with pytest.raises(ValueError, match="one for each of the points"):
            with_options([request], normals=wrong)
    with pytest.raises(ValueError, match="a temperature of 0"):
        with_options([request], temperature=0)
    with pytest.raises(ValueError, match="--structure_temperature -1"):
        SamplingConfig(structure_temperature=-1)


@pytest.mark.parametrize("way", WAYS)
def test_temperatures_are_each_requests_own(way, monkeypatch):
    """So cold that the likeliest is drawn, a mesh is the greedy one, whatever its neighbours' temperatures."""
    asked = requests(6)
    hot, greedy = run_by(way, monkeypatch, asked, HOT), run_by(way, monkeypatch, asked, GREEDY)
    mixed = asked[:]
    mixed[1:3] = with_options(asked[1:3], temperature=1e-5)
    results = run_by(way, monkeypatch, mixed, HOT)
    assert results == {**hot, 1: greedy[1], 2: greedy[2]}
    assert hot[1] != greedy[1]


@pytest.mark.parametrize("way", WAYS)
def test_structure_and_coordinates_have_temperatures_of_their_own(way, monkeypatch):
    asked = requests(6)
    meshes = {}
    for name, structure, coordinates in (("both", 1e-5, 1e-5), ("structure", 1e-5, 3.0), ("coordinates", 3.0, 1e-5)):
        config = SamplingConfig("sample", temperature=coordinates, structure_temperature=structure)
        meshes[name] = run_by(way, monkeypatch, asked, config)
        own = with_options(asked, temperature=coordinates, structure_temperature=structure)
        assert run_by(way, monkeypatch, own, SAMPLE) == meshes[name]
    assert meshes["both"] == run_by(way, monkeypatch, asked, GREEDY)
    assert len({str(each) for each in meshes.values()}) == 3
    # Coordinates are drawn as before where only the structure is cold: its default is their temperature.
    same = SamplingConfig("sample", temperature=3.0, structure_temperature=3.0)
    assert run_by(way, monkeypatch, asked, same) == run_by(way, monkeypatch, asked, HOT)


@torch.inference_mode()
def test_the_token_decoder_has_one_temperature_a_request():
    made_of, asked = small.make(), small.requests(4)
    hot = small.as_lists(small.run(made_of, asked, SamplingConfig(top_k=8, temperature=4.0), slots=4))
    greedy = small.as_lists(small.run(made_of, asked, small.GREEDY, slots=4))
    asked[2] = with_options([asked[2]], temperature=1e-5)[0]
    mixed = small.as_lists(small.run(made_of, asked, SamplingConfig(top_k=8, temperature=4.0), slots=4))
    assert mixed == {**hot, 2: greedy[2]}
