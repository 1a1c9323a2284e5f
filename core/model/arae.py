"""ArAE, the auto-regressive auto-encoder: condition -> tokens of an artistic mesh (EdgeRunner, arXiv 2409.18114)."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.groups import StepConfig, Steps
from core.model.decoder import DecoderConfig, MeshDecoder
from core.model.face_decoder import FaceDecoder, GroupLoss
from core.model.face_input import fourier
from core.model.image_encoder import encode_images, freeze, load_image_encoder
from core.model.layers import LAYER_NORM_EPS
from core.model.point_decoder import DecodedPoints, PointDecoder, cloud_distance
from core.model.point_encoder import PointEncoder, PointEncoderConfig
from core.tokens import BOS, PAD

FACE_COUNT_BOUNDS = (0, 1000, 2000, 4000, 8000)
NUM_FACE_BUCKETS = 10  # rows of the embedding; six are used, as in the reference's checkpoints
IMAGE_TOKENS = 257
FACE_VOCABULARY_SPECIAL = 6  # ids of LR_ABSCO that are no coordinates: PAD, BOS, EOS and its three ops


@dataclass(frozen=True)
class ArAEConfig:
    point_encoder: PointEncoderConfig = field(default_factory=PointEncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    cond_mode: Literal["point", "point_latent", "image", "none"] = "image"
    """What the mesh is generated from: a point cloud, its latent, an image, or nothing."""
    num_cond_tokens: int = IMAGE_TOKENS
    """Condition tokens before BOS, the face-count token included."""
    image_encoder: str = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
    """Image tower of --cond_mode image: a hub id or a local folder."""
    freeze_encoder: bool = False
    """Keep the image tower's weights as they are."""
    use_num_face_cond: bool = False
    """Condition on the face count as well, by its bucket."""
    use_face_count: bool = False
    """Condition on the face count itself as well, on a log scale; the face decoder sees how many faces are left."""
    nof_dropout_ratio: float = 0.2
    """Share of training samples whose face count is withheld."""
    face_count_noise: float = 0.0
    """Standard deviation of the log of what training counts are multiplied by: a wish can be met only about."""
    steps: StepConfig = field(default_factory=StepConfig)
    points_dropout: float = 0.1
    """Share of training batches whose points the face decoder sees as the latent tells them, so that it can do with a
    latent alone (as it has to for images)."""
    freeze_point_encoder: bool = False
    """Keep the point encoder as --resume gives it, so that the latents a DiT has learned stay what they are."""
    points_weight: float = 1.0
    """Weight of the distance between the input points and those that the latent tells (face decoder)."""

    def __post_init__(self):
        if self.freeze_encoder and self.cond_mode != "image":
            raise ValueError(f"--freeze_encoder is for --cond_mode image only; it is {self.cond_mode} here")
        if self.cond_mode != "image":  # a tower of another size may give another number of tokens
            expected = self.expected_cond_tokens()
            if self.num_cond_tokens != expected:
                raise ValueError(
                    f"--num_cond_tokens {self.num_cond_tokens}: --cond_mode {self.cond_mode} with these options "
                    f"makes {expected}"
                )
        if self.use_face_count and not self.use_num_face_cond:
            raise ValueError("--use_face_count goes with --use_num_face_cond, whose condition token it joins")
        if not self.face_count_noise >= 0:
            raise ValueError(f"--face_count_noise {self.face_count_noise}: must not be negative")
        if not 0 <= self.nof_dropout_ratio <= 1:
            raise ValueError(f"--nof_dropout_ratio {self.nof_dropout_ratio}: a probability in [0, 1] is needed")
        if not self.points_weight >= 0:
            raise ValueError(f"--points_weight {self.points_weight}: must not be negative")
        if not 0 <= self.points_dropout <= 1:
            raise ValueError(f"--points_dropout {self.points_dropout}: a probability in [0, 1] is needed")

    def expected_cond_tokens(self) -> int:
        """Condition tokens that the other options make."""
        latent_size = self.point_encoder.point_latent_size
        sizes = {"point": latent_size, "point_latent": latent_size, "image": IMAGE_TOKENS, "none": 0}
        return sizes[self.cond_mode] + int(self.use_num_face_cond)


class ArAEOutput(NamedTuple):
    """What a training step needs and what its metrics are made from.

    Attributes:
        loss: mean negative log likelihood of a token (EOS included) plus the weighted latent penalty; its parts are
            `loss_ce` and `loss_kl` (un-weighted).
        labels: (M,) the mesh tokens and EOS that were predicted, sequence after sequence.
        logits: (M, vocab) at the positions that predict them; None of the face decoder.
        groups: of the face decoder, the likelihoods of its groups.
    """

    loss: Tensor
    loss_ce: Tensor
    loss_kl: Tensor
    labels: Tensor
    logits: Tensor | None = None
    groups: GroupLoss | None = None


def face_count_bucket(num_faces: Tensor) -> Tensor:
    """Bucket of each face count: 0 unknown (n <= 0), 1: <= 1000, 2: <= 2000, 3: <= 4000, 4: <= 8000, 5: more."""
    return torch.bucketize(num_faces, torch.tensor(FACE_COUNT_BOUNDS, device=num_faces.device))


class FaceCountEmbed(nn.Module):
    """A face count -> a vector: sines and cosines of its logarithm, and a linear layer; zero where it is unknown."""

    FREQUENCIES = 6
    LARGEST = 16.0  # of the logarithm to base 2

    def __init__(self, dim: int):
        super().__init__()
        self.linear = nn.Linear(2 * self.FREQUENCIES + 1, dim)
        nn.init.zeros_(self.linear.weight)  # so that weights trained without it start from what they know
        nn.init.zeros_(self.linear.bias)

    def forward(self, num_faces: Tensor) -> Tensor:
        """num_faces (B,), <= 0 for unknown -> (B, dim)."""
        scale = num_faces.float().clamp(min=1).log2() * (2 / self.LARGEST) - 1
        vector = self.linear(fourier(scale.unsqueeze(1), self.FREQUENCIES).to(self.linear.weight.dtype))
        return vector.masked_fill((num_faces <= 0).unsqueeze(1), 0)


class ArAE(nn.Module):
    """Point cloud, latent, image or nothing -> mesh tokens.

    Args:
        config: sizes and condition.
        vocab_size: ids of the tokenizer, PAD, BOS and EOS included.
    """

    def __init__(self, config: ArAEConfig, vocab_size: int):
        super().__init__()
        self.config = config
        dim = config.decoder.hidden_dim
        cond_dim = config.point_encoder.point_latent_dim
        if config.cond_mode == "point":
            self.point_encoder = PointEncoder(config.point_encoder)
            self.point_encoder.requires_grad_(not config.freeze_point_encoder)
        elif config.cond_mode == "image":
            self.image_encoder = load_image_encoder(config.image_encoder)
            cond_dim = self.image_encoder.config.hidden_size  # type: ignore[union-attr, assignment]
            if config.freeze_encoder:
                freeze(self.image_encoder)
        if config.cond_mode != "none":
            self.proj_cond = nn.Linear(cond_dim, dim)
            self.norm_cond = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        if config.use_num_face_cond:
            self.embed_num_face = nn.Embedding(NUM_FACE_BUCKETS, dim)
        if config.use_face_count:
            self.embed_face_count = FaceCountEmbed(dim)
        self.mesh_decoder: MeshDecoder | FaceDecoder
        if config.decoder.decoder == "face":
            bins = vocab_size - FACE_VOCABULARY_SPECIAL
            self.mesh_decoder = FaceDecoder(config.decoder, config.steps, bins, config.use_face_count)
            if config.cond_mode in ("point", "point_latent"):
                self.point_decoder = PointDecoder(config.point_encoder)
        else:
            self.mesh_decoder = MeshDecoder(config.decoder, vocab_size, config.num_cond_tokens)

    def encode(
        self, points: Tensor | None = None, latents: Tensor | None = None, images: Tensor | None = None
    ) -> Tensor | None:
        """What the condition tokens are projected from: the latent (B, L, D), image tokens, or None.

        Args:
            points: (B, N, 3) in [-1, 1], for `cond_mode` point.
            latents: (B, L, D), for `point_latent`; also taken by `point` in place of points.
            images: (B, 3, H, W) in [0, 1], for `image`.
        """
        mode = self.config.cond_mode
        if mode == "none":
            return None
        if mode in ("point", "point_latent") and latents is not None:
            return latents
        if mode == "point" and points is not None:
            return self.point_encoder(points)
        if mode == "image" and images is not None:
            return encode_images(self.image_encoder, images)
        raise ValueError(f"a model with cond_mode {mode} needs its condition, and got none")

    def condition(self, encoded: Tensor | None, num_faces: Tensor) -> Tensor:
        """Condition tokens (B, num_cond_tokens, C) from `encode`'s result and the face counts (B,)."""
        tokens = []
        if encoded is not None:
            tokens.append(self.norm_cond(self.proj_cond(encoded)))
        if self.config.use_num_face_cond:
            token = self.embed_num_face(face_count_bucket(num_faces))
            if self.config.use_face_count:
                token = token + self.embed_face_count(num_faces)
            tokens.append(token.unsqueeze(1))
        if not tokens:
            weight = next(self.mesh_decoder.parameters())
            return weight.new_empty(len(num_faces), 0, self.config.decoder.hidden_dim)
        return torch.cat(tokens, dim=1)

    def drop_face_counts(self, num_faces: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Withhold a share `nof_dropout_ratio` of the face counts while training, so that sampling can do without.

        Args:
            num_faces: (B,) face counts.
            chosen: (B,) bool, the augmentation has chosen the count: nothing else tells it, so it is never withheld.
        """
        if not self.training or not self.config.use_num_face_cond:
            return num_faces
        dropped = torch.rand(num_faces.shape, device=num_faces.device) < self.config.nof_dropout_ratio
        if chosen is not None:
            dropped = dropped & ~chosen
        if self.config.face_count_noise:
            factor = torch.randn(num_faces.shape, device=num_faces.device).mul(self.config.face_count_noise).exp()
            num_faces = (num_faces * factor).round().long().clamp(min=1)
        return num_faces.masked_fill(dropped, 0)

    def forward(
        self,
        ids: Tensor,
        num_faces: Tensor,
        points: Tensor | None = None,
        latents: Tensor | None = None,
        images: Tensor | None = None,
        steps: Steps | None = None,
        predict: bool = False,
        chosen: Tensor | None = None,
    ) -> ArAEOutput:
        """Losses of a batch (arXiv 2409.18114, section 3.2).

        Args:
            ids: (B, T) [BOS, mesh tokens, EOS, PAD ...].
            num_faces: (B,) face counts; <= 0 is unknown.
            points, latents, images: the condition, see `encode`.
            steps: of the face decoder; made here where the loader has not made them.
            predict: the face decoder's output holds the likeliest groups as well.
            chosen: (B,) bool, see `drop_face_counts`.
        """
        encoded = self.encode(points, latents, images)
        num_faces = self.drop_face_counts(num_faces, chosen)
        condition = self.condition(encoded, num_faces)
        targets = ids[:, 1:]
        is_label = (targets != PAD) & (targets != BOS)
        labels = targets[is_label]
        loss_kl = self.latent_penalty(encoded)
        loss = self.config.point_encoder.kl_weight * loss_kl
        logits = groups = None
        if isinstance(self.mesh_decoder, FaceDecoder):
            decoded = self.decoded_surface(encoded)
            if points is not None and decoded is not None:
                estimated = None if steps is None else steps.normals
                loss = loss + self.config.points_weight * self._points_loss(decoded, points, estimated)
            normals = None
            if decoded is not None and (points is None or self._hides_points()):
                points, normals, steps = decoded.points.detach(), decoded.normals, None
            steps = self.mesh_decoder.make_steps(ids, points, normals) if steps is None else steps
            groups = self.mesh_decoder(condition, steps, points, predict, num_faces)
            loss_ce = groups.nats / len(labels)
        else:
            logits = self._token_logits(self.mesh_decoder, condition, ids, is_label)
            loss_ce = F.cross_entropy(logits.float(), labels)
        return ArAEOutput(loss + loss_ce, loss_ce, loss_kl, labels, logits, groups)

    def decoded_points(self, encoded: Tensor | None) -> Tensor | None:
        """(B, N, 3) points that are decoded from the latent (B, L, D); None for a token decoder."""
        decoded = self.decoded_surface(encoded)
        return None if decoded is None else decoded.points

    def decoded_surface(self, encoded: Tensor | None) -> DecodedPoints | None:
        """`decoded_points` and, where the point decoder gives them, unit normals."""
        return self.point_decoder(encoded) if hasattr(self, "point_decoder") and encoded is not None else None

    def _points_loss(self, decoded: DecodedPoints, points: Tensor, normals: Tensor | None) -> Tensor:
        """Other points are compared at each training step; the same ones in evaluation."""
        start = int(torch.randint(2**16, ())) if self.training else 0
        return cloud_distance(decoded, points, normals, self.config.point_encoder.normals_weight, start)

    def _hides_points(self) -> bool:
        return self.training and float(torch.rand(())) < self.config.points_dropout

    def _token_logits(self, decoder: MeshDecoder, condition: Tensor, ids: Tensor, is_label: Tensor) -> Tensor:
        """(M, vocab) at the positions that predict a label: the head runs only there."""
        # Nothing follows the last token, so its state is not needed, nor any beyond it.
        is_real = ids[:, 1:] != PAD
        hidden = decoder.forward_packed(condition, ids[:, :-1], is_real)  # (N, C)
        of_condition = is_real.new_ones(condition.shape[:2])
        has_label = torch.cat([~of_condition, is_label], dim=1)[torch.cat([of_condition, is_real], dim=1)]  # (N,)
        return decoder.lm_head(hidden[has_label])

    def latent_penalty(self, encoded: Tensor | None) -> Tensor:
        """0.5 * sum(latent^2) over the batch: the part of a KL term that a deterministic latent keeps."""
        if self.config.cond_mode != "point" or encoded is None:
            return torch.zeros((), device=next(self.mesh_decoder.parameters()).device)
        return 0.5 * encoded.float().square().sum()
