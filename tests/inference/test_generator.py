"""Jobs in, results out: as they end, a few at a time, each the same whatever is made beside it."""

from dataclasses import replace
from itertools import count, islice

import numpy as np
import pytest
import torch

from core.data.finish import FinishConfig
from core.generation.sampling import SamplingConfig
from core.geometry.finish import RepairConfig
from core.inference.generator import Job
from core.inference.options import InferConfig
from core.inference.prefix import Prefix
from core.tokens import LiveDecoder, Tokenizer, TokenizerConfig
from tests.inference.conftest import NANO, clouds, make_generator

CONFIG = replace(NANO.test, test_max_seq_length=80, test_batch_size=3)
NO_REPAIR = RepairConfig(weld=False, fill=False, cut=False, snap=False)
AS_DECODED = FinishConfig(drop_degenerate=False, drop_duplicates=False, repair=NO_REPAIR)  # with just those faces


def jobs(number: int, **options) -> list[Job]:
    return [Job(points, num_faces=80, seed=k, key=k, **options) for k, points in enumerate(clouds(number))]


def by_key(results) -> dict:
    return {job.key: result for job, result in results}


def test_a_stream_equals_single_runs_and_takes_no_more_than_it_has_room_for(generator):
    taken = []

    def lazily():
        for job in jobs(7):
            taken.append(job.key)
            yield job

    results = {}
    for job, result in generator.stream(lazily(), CONFIG):
        results[job.key] = result
        assert len(taken) - len(results) <= CONFIG.test_batch_size
    assert sorted(results) == list(range(7))
    for job in jobs(7):
        ((_, alone),) = generator.stream([job], CONFIG)
        np.testing.assert_array_equal(alone.ids, results[job.key].ids)
    assert len({tuple(result.ids) for result in results.values()}) == 7
    backwards = by_key(generator.stream(reversed(jobs(7)), replace(CONFIG, test_batch_size=2)))
    assert all((backwards[k].ids == results[k].ids).all() for k in range(7))


def test_generate_keeps_the_order(generator):
    streamed = by_key(generator.stream(jobs(5), CONFIG))
    results = generator.generate(clouds(5), [80] * 5, range(5), CONFIG)
    assert [r.ids.tolist() for r in results] == [streamed[k].ids.tolist() for k in range(5)]


@pytest.mark.parametrize("options", [{}, {"use_meto": False}], ids=str)  # random relative values are off the grid
def test_faces_come_as_they_are_finished(options):
    generator = make_generator(**options)
    seen: dict[int, list[np.ndarray]] = {k: [] for k in range(4)}
    results = by_key(generator.stream(jobs(4), CONFIG, lambda job, triangles: seen[job.key].append(triangles)))
    for k, result in results.items():
        vertices, faces = generator.tokenizer.decode(result.ids)
        assert len(faces) > 0
        np.testing.assert_array_equal(np.concatenate(seen[k]), vertices[faces])


def test_faces_come_before_the_mesh_is_done(generator, monkeypatch):
    monkeypatch.setattr("core.generation.engine.STREAM_INTERVAL_S", 0.0)
    calls = []
    list(generator.stream(jobs(1), CONFIG, lambda job, triangles: calls.append(len(triangles))))
    assert len(calls) > 3


@pytest.mark.parametrize("options", [{}, {"use_meto": False}, {"meto_backend": "LR"}, {"meto_backend": "CLERS"}])
def test_a_live_decoder_reads_what_the_tokenizer_writes_in_any_pieces(options):
    config = replace(TokenizerConfig(discrete_bins=64), **options)
    tokenizer = Tokenizer(config)
    vertices = np.array([[-0.5, -0.5, -0.5], [0.5, -0.5, -0.5], [0, 0.5, 0], [0, -0.5, 0.5]], np.float32)
    ids = tokenizer.encode(vertices, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]))
    expected = tokenizer.decode(ids)
    for step in (1, 4, 100):
        live = LiveDecoder(tokenizer)
        pieces = [live.feed(ids[k : k + step]) for k in range(0, len(ids), step)]
        np.testing.assert_array_equal(np.concatenate(pieces), expected[0][expected[1]])
        assert live.num_faces == 4
        assert len(live.feed(np.array([2, 0, 0]))) == 0  # EOS, PAD
        assert len(live.feed(ids)) == 0


def test_stopping_leaves_whole_faces_that_a_prefix_goes_on_from(generator):
    whole = by_key(generator.stream(jobs(4), CONFIG))
    lengths = set()
    for most in (1, 4, 6, 9):
        looks = count()
        for job, result in generator.stream(jobs(4), CONFIG, should_stop=lambda: next(looks) >= most):  # noqa: B023
            if result.ending == "stopped":
                assert not result.finished
                assert len(result.ids) <= len(whole[job.key].ids)
                lengths.add(len(result.ids))
            ((_, resumed),) = generator.stream([replace(job, prefix=result.ids)], CONFIG)
            np.testing.assert_array_equal(resumed.ids, whole[job.key].ids)
    assert 0 in lengths
    assert len(lengths) > 2


def test_a_face_budget_closes_the_mesh(generator):
    for most in (1, 5):
        config = replace(CONFIG, max_faces=most, finish=AS_DECODED)
        closed = 0
        for _, result in generator.stream(jobs(6), config):
            faces = len(generator.tokenizer.decode(result.ids)[1])
            assert len(result.mesh.faces) == faces
            assert (result.ending, faces) == ("faces", most) if result.ending != "eos" else faces < most
            closed += result.ending == "faces"
        assert closed > 0


def test_finishing_is_counted(generator):
    config = replace(CONFIG, finish=FinishConfig(report_holes=True))
    (result,) = generator.generate(clouds(1), [80], [0], config)
    vertices, faces = generator.tokenizer.decode(result.ids)
    removed = result.removed
    assert len(result.mesh.faces) == (
        len(faces) - removed["drop_degenerate"] - removed["drop_duplicates"] + removed["fill"] - removed["cut"]
    )
    assert len(result.mesh.vertices) == (
        len(vertices) - removed["merge_vertices"] - removed["weld"] - removed["drop_unused_vertices"]
    )
    assert result.holes > 0
    assert result.seconds > 0


def test_an_endless_stream_can_be_left(generator):
    endless = (Job(clouds(1)[0], num_faces=-1, seed=k) for k in count())
    config = replace(CONFIG, test_max_seq_length=20)
    left = generator.stream(endless, config)
    assert len(list(islice(left, 4))) == 4
    # Another stream goes along, and one that was left makes room.
    ((_, beside),) = generator.stream(jobs(1), config)
    next(left)
    left.close()
    ((_, after),) = generator.stream(jobs(1), config)
    np.testing.assert_array_equal(beside.ids, after.ids)


def test_weights_that_were_given_away_serve_one_way_of_sampling():
    generator = make_generator()
    generator.take_weights = True
    config = replace(CONFIG, test_max_seq_length=20)
    list(generator.stream(jobs(1), config))
    list(generator.stream(jobs(1), config))
    with pytest.raises(ValueError, match="make another"):
        list(generator.stream(jobs(1), replace(config, sampling=SamplingConfig(top_k=2))))


def test_a_decoder_that_looks_at_points_gets_those_of_the_input_or_of_the_latent():
    generator = make_generator(decoder="face")
    (cloud,) = clouds(1)
    latent = generator.model.encode(points=torch.as_tensor(cloud[None]))[0].detach()
    of_points, of_latent = generator._requests([Job(points=cloud), Job(latent=latent)], CONFIG)
    np.testing.assert_array_equal(of_points.points, cloud)
    told = generator.model.decoded_points(latent[None])[0].detach().numpy()
    np.testing.assert_allclose(of_latent.points, told, atol=1e-6)
    np.testing.assert_allclose(of_latent.condition.numpy(), of_points.condition.numpy(), atol=1e-6)
    (unlooked,) = make_generator()._requests([Job(latent=latent)], CONFIG)
    assert unlooked.points is None


def test_what_cannot_be_is_said(generator):
    with pytest.raises(ValueError, match="--test_max_seq_length 9999: this model holds 512 tokens"):
        list(generator.stream(jobs(1), replace(CONFIG, test_max_seq_length=9999)))
    for name, value in (("max_faces", -1), ("time_limit", -0.5), ("test_batch_size", 0), ("time_limit", float("nan"))):
        with pytest.raises(ValueError, match=f"--{name} {value}"):
            InferConfig(**{name: value})


def test_a_mesh_is_a_prefix_in_its_input_s_place(generator, tmp_path):
    from core.data.mesh import Mesh, Placement, save

    on_the_grid = replace(CONFIG, finish=FinishConfig(repair=NO_REPAIR))
    (made,) = generator.generate(clouds(1), [80], [0], on_the_grid)
    place = Placement(np.array([100.0, -3, 7]), 0.25)
    save(tmp_path / "part.ply", Mesh(place.invert(made.mesh.vertices), made.mesh.faces))
    ids = Prefix(str(tmp_path / "part.ply"), generator.tokenizer, 513).of(place)
    vertices, faces = generator.tokenizer.decode(ids)
    expected = {tuple(sorted(map(tuple, face))) for face in made.mesh.vertices[made.mesh.faces].round(4).tolist()}
    assert {tuple(sorted(map(tuple, face))) for face in vertices[faces].round(4).tolist()} == expected
    with pytest.raises(ValueError, match="not in this input's place"):
        Prefix(str(tmp_path / "part.ply"), generator.tokenizer, 513).of(Placement(np.zeros(3), 0.25))
    with pytest.raises(ValueError, match=r"its \d+ tokens leave nothing of a budget of 12"):
        Prefix(str(tmp_path / "part.ply"), generator.tokenizer, 12).of(place)
