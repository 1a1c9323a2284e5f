"""ArAE's conditions, losses and sizes on small models."""

import dataclasses

import pytest
import torch

from core.model.arae import ArAE, ArAEConfig, face_count_bucket
from core.model.decoder import DecoderConfig
from core.model.point_encoder import PointEncoderConfig, farthest_point_sample
from core.tokens import BOS, EOS, PAD

VOCAB = 20
POINTS = PointEncoderConfig(
    point_num=32, point_hidden_dim=16, point_num_heads=2, point_latent_size=4, point_latent_dim=8, kl_weight=0.01
)
DECODER = DecoderConfig(max_seq_length=32, hidden_dim=16, num_layers=2, num_heads=2)
IDS = torch.tensor([[BOS, 5, 6, 7, 8, EOS], [BOS, 9, 10, EOS, PAD, PAD]])
COUNTS = torch.tensor([100, 3000])


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """A CLIP vision tower of the real architecture and file format, tiny."""
    from transformers import CLIPVisionConfig, CLIPVisionModel

    folder = tmp_path_factory.mktemp("clip")
    config = CLIPVisionConfig(
        hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8
    )
    CLIPVisionModel(config).save_pretrained(folder)
    return str(folder)


def build(cond_mode: str = "point", faces: bool = True, **options) -> ArAE:
    torch.manual_seed(0)
    counts = {"point": 4, "point_latent": 4, "image": 17, "none": 0}
    config = ArAEConfig(POINTS, DECODER, cond_mode, counts[cond_mode] + faces, use_num_face_cond=faces, **options)
    return ArAE(config, VOCAB)


def condition_of(mode: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    made = {
        "point": {"points": torch.rand(2, 32, 3) * 2 - 1},
        "point_latent": {"latents": torch.randn(2, 4, 8)},
        "image": {"images": torch.rand(2, 3, 50, 40)},
        "none": {},
    }
    return made[mode]


@pytest.mark.parametrize("faces", [True, False], ids=["face count", "no face count"])
@pytest.mark.parametrize("mode", ["point", "point_latent", "image", "none"])
def test_every_condition_trains(mode, faces, clip_folder):
    model = build(mode, faces, image_encoder=clip_folder) if mode == "image" else build(mode, faces)
    model.eval()
    encoded = model.encode(**condition_of(mode))
    assert model.condition(encoded, COUNTS).shape == (2, model.config.num_cond_tokens, 16)
    output = model(IDS, COUNTS, **condition_of(mode))
    output.loss.backward()
    unused = {name for name, p in model.named_parameters() if p.grad is None}
    # CLIP's pooling has a norm that the last hidden states do not pass.
    assert {name for name in unused if "post_layernorm" not in name} == set()
    assert output.labels.tolist() == [5, 6, 7, 8, EOS, 9, 10, EOS]
    assert output.logits.shape == (8, VOCAB)


@pytest.mark.parametrize("mode", ["point", "point_latent", "image"])
def test_the_condition_matters_and_its_lack_is_named(mode, clip_folder):
    model = build(mode, image_encoder=clip_folder) if mode == "image" else build(mode)
    model.eval()
    given = condition_of(mode)
    swapped = {name: value.flip(0) for name, value in given.items()}
    assert model(IDS, COUNTS, **given).loss_ce != model(IDS, COUNTS, **swapped).loss_ce
    with pytest.raises(ValueError, match=f"cond_mode {mode}"):
        model(IDS, COUNTS)


def test_a_frozen_tower_gets_no_gradient_and_stays_in_evaluation_mode(clip_folder):
    model = build("image", image_encoder=clip_folder, freeze_encoder=True)
    model.train()
    model(IDS, COUNTS, **condition_of("image")).loss.backward()
    assert not model.image_encoder.training
    assert all(p.grad is None and not p.requires_grad for p in model.image_encoder.parameters())
    assert model.proj_cond.weight.grad is not None


def test_a_missing_tower_is_named(tmp_path):
    with pytest.raises(ValueError, match="--image_encoder .*nowhere"):
        build("image", image_encoder=str(tmp_path / "nowhere"))


def test_loss_is_the_mean_over_mesh_tokens_and_end_plus_the_penalty():
    model = build().eval()
    given = condition_of("point")
    output = model(IDS, COUNTS, **given)
    hidden = model.mesh_decoder(model.condition(model.encode(**given), COUNTS), IDS)
    logits = model.mesh_decoder.lm_head(hidden)[:, model.config.num_cond_tokens :].log_softmax(-1)
    expected = [logits[b, t, IDS[b, t + 1]] for b, length in enumerate([5, 3]) for t in range(length)]
    assert output.loss_ce.item() == pytest.approx(-torch.stack(expected).mean().item(), abs=1e-5)
    latent = model.encode(**given)
    assert output.loss_kl.item() == pytest.approx(0.5 * latent.square().sum().item(), rel=1e-5)
    assert output.loss.item() == pytest.approx(output.loss_ce.item() + 0.01 * output.loss_kl.item(), rel=1e-5)


def test_padding_changes_nothing():
    model = build().eval()
    points = condition_of("point")["points"]
    long = model(IDS, COUNTS, points=points).logits[5:]
    short = model(IDS[1:, :4], COUNTS[1:], points=points[1:]).logits
    assert torch.allclose(long, short, atol=1e-5)


@pytest.mark.parametrize(
    ("count", "bucket"),
    [(-1, 0), (0, 0), (1, 1), (1000, 1), (1001, 2), (2000, 2), (2001, 3), (4000, 3), (4001, 4), (8000, 4), (8001, 5)],
)
def test_face_count_buckets(count, bucket):
    assert face_count_bucket(torch.tensor([count])).item() == bucket


def test_face_counts_are_withheld_in_training_only():
    model = build()
    counts = torch.full((4000,), 500)
    torch.manual_seed(0)
    share = (model.train().drop_face_counts(counts) == 0).float().mean().item()
    assert share == pytest.approx(0.2, abs=0.03)
    assert torch.equal(model.eval().drop_face_counts(counts), counts)


def test_activation_checkpointing_changes_no_gradient():
    model = build()
    gradients = []
    for on in (False, True):
        model.mesh_decoder.model.checkpointing = on
        model.zero_grad()
        torch.manual_seed(3)  # the same dropout
        model.train()(IDS, COUNTS, **condition_of("point")).loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert torch.allclose(*gradients, atol=1e-6)


def test_downsample_queries_are_the_farthest_points():
    points = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0.1, 0, 0], [0, 3, 0], [0, 0, 0.2]]])
    assert farthest_point_sample(points, 3).tolist() == [[0, 3, 1]]
    config = dataclasses.replace(POINTS, point_encoder_mode="downsample")
    model = ArAE(ArAEConfig(config, DECODER, "point", 5, use_num_face_cond=True), VOCAB)
    assert not hasattr(model.point_encoder, "query_embed")
    latent = model.encode(points=condition_of("point")["points"])
    assert latent.shape == (2, 4, 8)
    model(IDS, COUNTS, **condition_of("point")).loss.backward()


def test_options_that_contradict_each_other_are_named():
    with pytest.raises(ValueError, match="--num_cond_tokens 7.*makes 5"):
        ArAEConfig(POINTS, DECODER, "point", 7, use_num_face_cond=True)
    with pytest.raises(ValueError, match="--freeze_encoder"):
        ArAEConfig(POINTS, DECODER, "point", 4, freeze_encoder=True)
    with pytest.raises(ValueError, match="--hidden_dim 30.*--num_heads 4"):
        DecoderConfig(hidden_dim=30, num_heads=4)
    with pytest.raises(ValueError, match="--point_num 3 "):
        dataclasses.replace(POINTS, point_encoder_mode="downsample", point_num=3)


def test_a_sequence_beyond_the_positions_is_named():
    model = build()
    with pytest.raises(ValueError, match="raise --max_seq_length"):
        model(torch.full((1, 60), 5), COUNTS[:1], points=condition_of("point")["points"][:1])
