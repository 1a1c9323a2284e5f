"""Points or latents -> meshes: the model, its tokenizer and its device, ready to generate.

for job, result in generator.stream(jobs, config):      # as they end
    ...
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from core.data.finish import finish_counting
from core.data.mesh import Mesh
from core.generation import Engine, FinishReason, Generated, Request, SamplingConfig
from core.inference.options import UNKNOWN_FACE_COUNT, InferConfig, pick_dtype
from core.inference.records import weights_digest
from core.model.arae import ArAE
from core.tokens import LiveDecoder, Tokenizer

OnFaces = Callable[["Job", np.ndarray], None]
"""Called with a job and the corners (n, 3, 3) of its faces that have newly been finished, in the model's frame."""


@dataclass(frozen=True, eq=False)
class Job:
    """One mesh to make, from points or from their latent."""

    points: np.ndarray | None = None
    """(N, 3) in the model's frame, [-1, 1]."""
    latent: Tensor | None = None
    """(L, D), instead of points."""
    num_faces: int = UNKNOWN_FACE_COUNT
    """Faces to aim at; UNKNOWN_FACE_COUNT leaves it to the model."""
    seed: int = 0
    """Of all that is drawn: the same condition and seed give the same mesh in any batch."""
    prefix: np.ndarray | None = None
    """(T,) ids with which the mesh begins."""
    key: Any = None
    """The caller's own."""
    normals: np.ndarray | None = None
    """(N, 3) unit normals of the points, of either sign; None: they are estimated."""


class Result(NamedTuple):
    """A generated mesh.

    Attributes:
        mesh: finished (post-processed), in the model's frame.
        ids: (T,) its ids, prefix included.
        ending: by itself (eos), at a budget (faces, tokens), from outside (stopped), or because the model's numbers
            were none (invalid): then it is no result.
        removed: what each step of finishing removed or changed, see `core.data.finish.Finished`.
        holes: rims left open, where the config asks for the count.
        seconds: from its begin to its end, beside the others of the batch.
        closed: whether it is proved to be a closed manifold, where the config asks for one.
    """

    mesh: Mesh
    ids: np.ndarray
    ending: FinishReason
    removed: dict[str, int]
    holes: int | None
    seconds: float
    closed: bool | None = None

    @property
    def finished(self) -> bool:
        """Whether it ended by itself."""
        return self.ending == "eos"


class MeshGenerator:
    """A model ready to generate: moved to its device, in evaluation mode.

    Args:
        model: ArAE, whatever its condition.
        tokenizer: the one that it was trained with.
        device: where it runs.
        take_weights: the decoder's weights may be laid out anew for generation without keeping a second copy: the model
            can then do nothing else, and serves one stream at a time, of one way of sampling.
        dtype: precision; None is half on CUDA, float32 on the CPU.

    Attributes:
        weights_digest: which weights these are.
    """

    def __init__(
        self,
        model: ArAE,
        tokenizer: Tokenizer,
        device: torch.device,
        take_weights: bool = False,
        dtype: torch.dtype | None = None,
    ):
        self.device = device
        self.weights_digest = weights_digest(model)
        self.dtype = dtype or pick_dtype("auto", device)
        self.model = model.to(device, self.dtype).eval()
        self.tokenizer, self.take_weights = tokenizer, take_weights
        self._idle: tuple[tuple[SamplingConfig, int], Engine] | None = None
        self._has_taken = False

    def stream(
        self,
        jobs: Iterable[Job],
        config: InferConfig,
        on_faces: OnFaces | None = None,
        should_stop: Callable[[], bool] | None = None,
        slots: int | None = None,
    ) -> Iterator[tuple[Job, Result]]:
        """Generate; results come as they end, which need not be the order of the jobs.

        Args:
            jobs: taken one by one whenever there is room for one more, and not before.
            config: budgets, sampling and finishing.
            on_faces: called now and then with each job's new faces, those of its prefix among them.
            should_stop: asked every few steps; once it says yes, what is running ends as "stopped".
            slots: meshes made side by side; None: the config's `test_batch_size`.

        Raises:
            ValueError: a budget beyond the model's, or a prefix that breaks the grammar or leaves nothing of a budget.
        """
        watch = None if on_faces is None else _Watch(self.tokenizer, on_faces)
        settings = config.sampling, slots or config.test_batch_size
        engine = self._take_engine(settings)
        running = engine.run(self._requests(jobs, config), watch, should_stop)
        try:
            for request, made in running:
                job, begun = request.key
                if watch is not None:
                    watch.close(request)
                yield job, self._result(made, config, request.points, time.monotonic() - begun)
        finally:
            # Frees its slots, if the stream was left before its end.
            running.close()  # type: ignore[attr-defined]
            self._idle = settings, engine

    def generate(
        self,
        points: np.ndarray | None,
        num_faces: Sequence[int],
        seeds: Sequence[int],
        config: InferConfig,
        prefix: np.ndarray | None = None,
        on_faces: OnFaces | None = None,
        latents: Tensor | None = None,
    ) -> list[Result]:
        """One mesh for each point cloud, or for each latent, in their order: `stream` for a batch that is at hand.

        Args:
            points: (B, N, 3) in the model's frame, [-1, 1]; None where latents are given.
            num_faces: B face counts to aim at; UNKNOWN_FACE_COUNT leaves it to the model.
            seeds: B seeds.
            config: budgets, sampling and finishing.
            prefix: (T,) ids with which each mesh begins.
            on_faces: see `stream`; the job's key is its place in the batch.
            latents: (B, L, D) instead of points.

        Raises:
            ValueError: as `stream`.
        """
        jobs = [
            Job(
                None if points is None else points[k],
                None if latents is None else latents[k],
                *(count, seed, prefix, k),
            )
            for k, (count, seed) in enumerate(zip(num_faces, seeds, strict=True))
        ]
        slots = max(1, min(len(jobs), config.test_batch_size))
        results = {job.key: result for job, result in self.stream(jobs, config, on_faces, slots=slots)}
        return [results[k] for k in range(len(jobs))]

    def budget(self, config: InferConfig) -> int:
        """Ids that a mesh may take, EOS included.

        Raises:
            ValueError: more than the model holds.
        """
        longest = self.model.config.decoder.max_seq_length
        if config.test_max_seq_length > longest:
            raise ValueError(f"--test_max_seq_length {config.test_max_seq_length}: this model holds {longest} tokens")
        return (config.test_max_seq_length or longest) + 1

    def _take_engine(self, settings: tuple[SamplingConfig, int]) -> Engine:
        """An engine that nobody uses now; the latest one is kept for the next stream."""
        if self._idle is not None and self._idle[0] == settings:
            (_, engine), self._idle = self._idle, None
            return engine
        if self.take_weights and self._has_taken:
            raise ValueError(
                "this generator has given its weights to one stream at a time, of one config: make another"
            )
        self._has_taken = self.take_weights
        return Engine(self.model.mesh_decoder, self.tokenizer, *settings, self.take_weights)

    def _requests(self, jobs: Iterable[Job], config: InferConfig) -> Iterator[Request]:
        budget = self.budget(config)
        source, encoded, points, normals = None, None, None, None
        for job in jobs:
            # One at a time, whatever else waits: batches of another size round differently. What comes several times
            # in a row, for repetitions and face counts, is encoded once.
            given = job.points if job.latent is None else job.latent
            if given is None or given is not source:
                source, encoded = given, self._encode(job)
                points, normals = self._points(job, encoded)
            condition = self._condition(encoded, job.num_faces)
            key = job, time.monotonic()
            budgets = budget, job.prefix, config.max_faces
            yield Request(condition, job.seed, *budgets, points, job.num_faces, key, normals)

    @torch.inference_mode()
    def _encode(self, job: Job) -> Tensor | None:
        given = {"points": job.points} if job.latent is None else {"latents": job.latent}
        put = {
            name: torch.as_tensor(x, device=self.device, dtype=self.dtype).unsqueeze(0)
            for name, x in given.items()
            if x is not None
        }
        return self.model.encode(**put)

    @torch.inference_mode()
    def _points(self, job: Job, encoded: Tensor | None) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The points (N, 3) that a decoder may read, and their normals: the job's, or decoded from the latent."""
        if job.points is not None:
            return np.asarray(job.points, np.float32), job.normals
        decoded = self.model.decoded_surface(encoded)
        if decoded is None:
            return None, None
        points, normals = (None if x is None else x[0].float().cpu().numpy() for x in decoded)
        return points, normals

    @torch.inference_mode()
    def _condition(self, encoded: Tensor | None, num_faces: int) -> Tensor:
        return self.model.condition(encoded, torch.tensor([num_faces], device=self.device))[0]

    def _result(self, made: Generated, config: InferConfig, points: np.ndarray | None, seconds: float) -> Result:
        raw, step = Mesh(*self.tokenizer.decode(made.ids)), 2 / self.tokenizer.config.discrete_bins
        mesh, removed, holes, closed = finish_counting(raw, config.finish, points, step, config.max_faces)
        return Result(mesh, made.ids, made.finish_reason, removed, holes, seconds, closed)


class _Watch:
    """Turns the engine's ids so far into faces newly finished."""

    def __init__(self, tokenizer: Tokenizer, on_faces: OnFaces):
        self.tokenizer, self.on_faces = tokenizer, on_faces
        self._live: dict[Request, tuple[LiveDecoder, int]] = {}  # and the ids that it has been fed

    def __call__(self, request: Request, ids: np.ndarray) -> None:
        live, fed = self._live.get(request) or (LiveDecoder(self.tokenizer), 0)
        triangles = live.feed(ids[fed:])
        self._live[request] = live, len(ids)
        if len(triangles):
            self.on_faces(request.key[0], triangles)

    def close(self, request: Request) -> None:
        self._live.pop(request, None)
