"""Points -> mesh: the model, its tokenizer and its device, ready to generate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from core.data import mesh as meshes
from core.data.mesh import Mesh
from core.model.arae import FACE_COUNT_BOUNDS, ArAE
from core.model.generate import SamplingConfig, generate
from core.tokens import Tokenizer

UNKNOWN_FACE_COUNT = -1


@dataclass(frozen=True)
class InferConfig:
    test_path: str = ""
    """A mesh or point cloud, or a folder of them."""
    test_resume_tokens: str = ""
    """Tokens (.npy, as written beside each result) with which every generated mesh begins."""
    test_repeat: int = 1
    """Meshes made of each input and face count, with seeds --seed, --seed + 1, ..."""
    test_num_face: tuple[int, ...] = (1000,)
    """Face counts to aim at, a mesh for each; -1: unknown. The model knows buckets: to 1000, 2000, 4000, 8000, more."""
    test_max_seq_length: int = 0
    """Most tokens that a mesh may take; 0 is as many as the model holds."""
    test_batch_size: int = 8
    """Meshes generated side by side."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""
    sheet: bool = True
    """Write sheet.png: input, points and results of each input side by side."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)

    def __post_init__(self):
        for name in ("test_repeat", "test_batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} {getattr(self, name)}: at least 1 is needed")
        if not self.test_num_face:
            raise ValueError(f"--test_num_face needs a face count, or {UNKNOWN_FACE_COUNT} for unknown")
        if self.test_max_seq_length < 0:
            raise ValueError(f"--test_max_seq_length {self.test_max_seq_length}: a number of tokens, or 0 for all")


def check_face_counts(counts: Sequence[int], max_face_length: int) -> None:
    """Refuse face counts that mean nothing to a model trained on meshes of at most `max_face_length` faces.

    Raises:
        ValueError: naming the count.
    """
    largest = min((bound for bound in FACE_COUNT_BOUNDS if bound >= max_face_length), default=max_face_length)
    for count in counts:
        if count != UNKNOWN_FACE_COUNT and not 1 <= count <= largest:
            raise ValueError(
                f"--test_num_face {count}: this model takes 1 to {largest}, or {UNKNOWN_FACE_COUNT} for unknown"
            )


def pick_device(name: str) -> torch.device:
    """The device of a `--device` value.

    Raises:
        ValueError: no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"--device {name}: expected auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"--device {name}: expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices")
    return device


class Result(NamedTuple):
    """A generated mesh in the model's frame (post-processed), its ids (T,), and whether it ended by itself."""

    mesh: Mesh
    ids: np.ndarray
    finished: bool


class MeshGenerator:
    """A model ready to generate: moved to its device, in evaluation mode.

    Args:
        model: ArAE, whatever its condition.
        tokenizer: the one that it was trained with.
        device: where it runs; half precision (bf16) on CUDA, float32 on the CPU.
    """

    def __init__(self, model: ArAE, tokenizer: Tokenizer, device: torch.device):
        self.device = device
        self.dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self.model = model.to(device, self.dtype).eval()
        self.tokenizer = tokenizer

    @torch.inference_mode()
    def generate(
        self,
        points: np.ndarray | None,
        num_faces: Sequence[int],
        seeds: Sequence[int],
        config: InferConfig,
        prefix: np.ndarray | None = None,
        on_faces: Callable[[int], None] | None = None,
        latents: torch.Tensor | None = None,
    ) -> list[Result]:
        """One mesh for each point cloud, or for each latent.

        Args:
            points: (B, N, 3) in the model's frame, [-1, 1]; None where latents are given.
            num_faces: B face counts to aim at; UNKNOWN_FACE_COUNT leaves it to the model.
            seeds: B seeds.
            config: budget and sampling.
            prefix: (T,) ids with which each mesh begins.
            on_faces: called now and then with the number of faces made so far in all meshes.
            latents: (B, L, D) instead of points.

        Raises:
            ValueError: a budget beyond the model's, or a prefix that breaks the grammar.
        """
        given = {"points": points} if latents is None else {"latents": latents}
        given = {name: torch.as_tensor(x, device=self.device, dtype=self.dtype) for name, x in given.items()}
        encoded = self.model.encode(**given)
        condition = self.model.condition(encoded, torch.as_tensor(list(num_faces), device=self.device))
        so_far = [np.zeros(0, np.int64)] * len(seeds)

        def tell(row: int, ids: np.ndarray) -> None:
            so_far[row] = ids
            if on_faces is not None:
                on_faces(sum(self.count_faces(ids[None]) for ids in so_far))

        generated = generate(
            self.model.mesh_decoder,
            condition,
            self.tokenizer,
            self._budget(config),
            config.sampling,
            seeds,
            prefix=prefix,
            on_ids=tell if on_faces is not None else None,
        )
        return [Result(self._mesh(made.ids), made.ids, made.finished) for made in generated]

    def count_faces(self, ids: np.ndarray) -> int:
        """Whole faces in sequences of ids (B, T)."""
        return sum(len(self.tokenizer.decode(row)[1]) for row in ids)

    def _budget(self, config: InferConfig) -> int:
        longest = self.model.config.decoder.max_seq_length
        if config.test_max_seq_length > longest:
            raise ValueError(f"--test_max_seq_length {config.test_max_seq_length}: this model holds {longest} tokens")
        return (config.test_max_seq_length or longest) + 1  # and EOS

    def _mesh(self, ids: np.ndarray) -> Mesh:
        return meshes.finish(Mesh(*self.tokenizer.decode(ids)))
