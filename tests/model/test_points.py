"""Point encoder and point decoder: what their options add, and the loss between decoded points and the input."""

import dataclasses

import pytest
import torch

from core.config import PRESETS
from core.model.arae import ArAE
from core.model.layers import SelfAttentionBlock
from core.model.point_decoder import COMPARED_POINTS, DecodedPoints, PointDecoder, cloud_distance
from core.model.point_encoder import PointEncoder, PointEncoderConfig
from core.tokens import Tokenizer

OLD = PointEncoderConfig(
    point_num=1024, point_hidden_dim=16, point_num_heads=2, point_latent_size=8, point_latent_dim=4
)
NEW = dataclasses.replace(
    OLD, point_num_layers=2, point_decoder_layers=1, point_decoder_normals=True, point_decoder_num=60
)


@pytest.fixture
def points() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(2, 1024, 3) * 2 - 1


def test_the_published_form_has_no_new_parameters():
    names = {name.split(".")[0] for name in PointEncoder(OLD).state_dict()}
    assert names == {"query_embed", "point_embed", "ln", "cross_att", "linear"}
    shapes = {name: tuple(value.shape) for name, value in PointDecoder(OLD).state_dict().items()}
    assert shapes.keys() == {"place", *(f"fc{k}.{part}" for k in (1, 2, 3) for part in ("weight", "bias"))}
    assert shapes["fc3.weight"] == (3 * 1024 // 8, 16)


def test_layers_change_nothing_at_first(points):
    """So weights trained without them start from what they know."""
    without = dataclasses.replace(NEW, point_num_layers=0, point_decoder_layers=0)
    for build, given in ((PointEncoder, points), (PointDecoder, torch.randn(2, 8, NEW.point_latent_dim))):
        torch.manual_seed(1)
        deep, plain = build(NEW), build(without)
        plain.load_state_dict({name: value for name, value in deep.state_dict().items() if "layers." not in name})
        with torch.no_grad():
            torch.testing.assert_close(deep(given), plain(given))


def test_layers_let_the_latent_vectors_see_one_another(points):
    for config, others_change in ((OLD, False), (NEW, True)):
        torch.manual_seed(1)
        encoder, decoder = PointEncoder(config).eval(), PointDecoder(config).eval()
        with torch.no_grad():
            layers = [m for part in (encoder, decoder) for m in part.modules() if isinstance(m, SelfAttentionBlock)]
            for layer in layers:
                torch.nn.init.normal_(layer.att.out_proj.weight)
            before, moved = encoder(points), encoder(points)
            told = decoder(before).points.clone()
            encoder.query_embed[0, 0] += 1.0
            after = encoder(points)
            moved[:, 0] += 1.0
            told_after = decoder(moved).points
        assert torch.equal(before[:, 1:], after[:, 1:]) is not others_change
        own = told.shape[1] // 8 + 1  # the first vector's own points, at least
        assert torch.equal(told[:, own:], told_after[:, own:]) is not others_change


def test_decoded_points_are_as_many_as_asked_and_normals_of_unit_length(points):
    with torch.no_grad():
        told = PointDecoder(NEW)(PointEncoder(NEW)(points))
        plain = PointDecoder(OLD)(PointEncoder(OLD)(points))
    assert told.points.shape == told.normals.shape == (2, 60, 3)
    torch.testing.assert_close(told.normals.norm(dim=-1), torch.ones(2, 60))
    assert plain.points.shape == (2, 1024, 3)
    assert plain.normals is None


def test_a_cloud_is_at_no_distance_from_itself_and_normals_have_no_sign(points):
    normals = torch.nn.functional.normalize(torch.randn(2, 1024, 3), dim=-1)
    told = DecodedPoints(points, normals)
    assert cloud_distance(told, points) < 1e-4
    assert cloud_distance(told, points, -normals, normals_weight=1.0) < 1e-4
    turned = torch.nn.functional.normalize(torch.linalg.cross(normals, torch.randn(2, 1024, 3), dim=-1), dim=-1)
    apart = cloud_distance(told, points, turned, normals_weight=0.5)
    assert apart == pytest.approx(0.5, abs=1e-3)
    assert cloud_distance(DecodedPoints(points), points, turned, normals_weight=0.5) < 1e-4
    assert cloud_distance(DecodedPoints(points + torch.tensor([0.0, 0, 9])), points) > 6


def test_every_decoded_point_learns_though_few_are_compared_at_once(points):
    told = (points * 0.9).requires_grad_()
    step = 1024 // COMPARED_POINTS
    reached = torch.zeros(1024, dtype=torch.bool)
    for start in range(step):
        (gradient,) = torch.autograd.grad(cloud_distance(DecodedPoints(told), points, start=start), told)
        touched = gradient.abs().sum((0, 2)) > 0
        assert touched.sum() <= COMPARED_POINTS
        reached |= touched
    assert reached.all()


def test_training_compares_other_points_each_time_and_evaluation_the_same(points):
    config = PRESETS["ArAE-nano-face"][1]
    encoder = dataclasses.replace(
        config.model.point_encoder, point_num=1024, point_decoder_normals=True, point_num_layers=1
    )
    torch.manual_seed(0)
    tokenizer = Tokenizer(config.tokenizer)
    model = ArAE(dataclasses.replace(config.model, point_encoder=encoder, points_dropout=0.0), tokenizer.vocab_size)
    told = model.decoded_surface(model.encode(points))
    assert torch.equal(model.decoded_points(model.encode(points)), told.points)
    for training in (True, False):
        torch.manual_seed(0)
        model.train(training)
        losses = {float(model._points_loss(told, points, None).detach()) for _ in range(12)}
        assert len(losses) == (2 if training else 1)


@pytest.mark.parametrize("name", ["point_num_layers", "point_decoder_layers", "point_decoder_num", "normals_weight"])
def test_a_negative_number_is_refused(name):
    with pytest.raises(ValueError, match=f"--{name} -1"):
        PointEncoderConfig(**{name: -1})
