"""A run: the inputs of a file or folder, what is asked of each, and the meshes that come of it.

What is asked for and already there, of the same input, options and weights, is passed over; what an earlier run left
unfinished is gone on with. A bad file costs only itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.data import mesh as meshes
from core.data.mesh import Mesh
from core.inference.best import distance_to_points
from core.inference.generator import Job, MeshGenerator, OnFaces, Result
from core.inference.inputs import Input, InputFile, Task, mixed_seed, name_files, read_input, stem_of, without_results
from core.inference.names import place_in
from core.inference.options import InferConfig
from core.inference.output import Output
from core.inference.prefix import Prefix
from core.inference.records import Ledger, file_digest, flat_options
from core.inference.share import Share
from core.inference.stop import Stop

ALONE = Share()


class Run:
    """Generates for every input of a path that is this process's to do.

    Args:
        generator: the model.
        config: what to read and make.
        folder: where results go.
        seed: of the points and the first repetition.
        share: this process among several.
        stop: says when to stop; what is unfinished then is written as partial.
        tell: takes each line for the user.

    Attributes:
        all_files: the inputs of all processes.
        files: those of this one.
        output: the folder, and what has been written to it.
        skipped: results that were there already.

    Raises:
        ValueError: no input, or options that cannot be.
    """

    suffixes: tuple[str, ...] = meshes.MESH_SUFFIXES + meshes.POINT_SUFFIXES
    mesh_suffix = ".ply"

    def __init__(
        self,
        generator: MeshGenerator,
        config: InferConfig,
        folder: Path,
        seed: int,
        share: Share = ALONE,
        stop: Stop | None = None,
        tell: Callable[[str], None] = print,
    ):
        if seed < 0:
            raise ValueError(f"--seed {seed}: 0 or more is needed")
        self.generator, self.config, self.folder, self.seed = generator, config, folder, seed
        self.share, self.stop, self.print_line = share, stop or Stop(), tell
        self.show: Callable[[str], None] = lambda text: None  # what is being done, for a progress bar
        self.prefix = Prefix(config.test_resume_tokens, generator.tokenizer, generator.budget(config))
        found = without_results(folder, meshes.list_inputs(config.test_path, self.suffixes))
        self.all_files = name_files(found, config.test_path)
        self.files = share.of(self.all_files)
        folder.mkdir(parents=True, exist_ok=True)
        self.output = Output(Ledger(folder, self.options()), self.mesh_suffix, seed, self.tell)
        self.skipped = 0
        self._groups: dict[tuple[str, int], list[tuple[Task, Result]]] = {}

    def tell(self, line: str) -> None:
        """A line for the user, saying which process it is from where there are several."""
        line = line.encode("utf-8", "backslashreplace").decode()  # of a file name in another encoding
        self.print_line(f"[process {self.share.rank}] {line}" if self.share.world > 1 else line)

    def options(self) -> dict[str, Any]:
        """All that a result follows from besides its input."""
        config, model = self.config, self.generator.model.config
        found = flat_options(self.generator.tokenizer.config, model, config.sampling, config.finish)
        found |= {"max_faces": config.max_faces, "test_max_seq_length": config.test_max_seq_length}
        found |= {"seed": self.seed, "weights_digest": self.generator.weights_digest}
        if config.test_resume_tokens:
            found["test_resume_tokens_digest"] = file_digest(Path(config.test_resume_tokens))
        if config.drop_strays:
            found["drop_strays"] = True
        if config.keep == "best":
            found |= {"keep": config.keep, "test_repeat": config.test_repeat}
        return found

    @property
    def asked(self) -> list[tuple[int, int]]:
        """(repeat, face count) of all that is asked of each input."""
        return [(i, n) for i in range(self.config.test_repeat) for n in self.config.test_num_face]

    def generate(
        self, on_faces: OnFaces | None = None, on_result: Callable[[Task, Result], None] | None = None
    ) -> None:
        """Make and write everything.

        Args:
            on_faces: called now and then with each job's new faces; the job's key is its `Task`.
            on_result: called with each result as it comes, before it is written.
        """
        slots = max(1, min(self.config.test_batch_size, len(self.files) * len(self.asked)))
        try:
            for job, result in self.generator.stream(self.jobs(), self.config, on_faces, self.stop, slots):
                if on_result is not None:
                    on_result(job.key, result)
                self._finish(job.key, result)
        finally:
            for group in self._groups.values():  # of which not all could be made, so that none is the best
                for task, result in group:
                    self.output.write(task, result, partial=True)

    # ---- what to make

    def jobs(self) -> Iterator[Job]:
        """A job for each task, with its points."""
        for task in self.tasks():
            job = Job(task.source.points, None, task.num_faces, self.seed_of(task), key=task)
            if (ready := self.with_prefix(job)) is not None:
                yield ready

    def tasks(self) -> Iterator[Task]:
        """Whatever is asked of the inputs and not there yet. Inputs are read when their turn comes."""
        for file in self.files:
            if self.stop():
                return
            wanted = self.asked
            try:
                file = file._replace(digest=file_digest(file.path))
                wanted = self._wanted(file)
                source = self.read(file) if wanted else None
            except (ValueError, OSError, MemoryError) as error:
                self.output.fail_input(file, wanted, str(error) or type(error).__name__)
                continue
            if source is not None:
                yield from (Task(source, num_faces, repeat) for repeat, num_faces in wanted)

    def read(self, file: InputFile) -> Input:
        """An input, whose points are written as NAME_pc.obj.

        Raises:
            ValueError: naming the file and what is wrong with it.
        """
        source = read_input(
            file, self.generator.model.config.point_encoder.point_num, self.seed, self.config.drop_strays
        )
        assert source.points is not None
        cloud = Mesh(source.placement.invert(source.points), np.zeros((0, 3), np.int32))
        meshes.save(place_in(self.folder, f"{file.name}_pc.obj"), cloud)
        return source

    def seed_of(self, task: Task) -> int:
        """What this mesh is drawn from, see `mixed_seed`."""
        return mixed_seed(self.seed + task.repeat, task.source.content)

    def with_prefix(self, job: Job) -> Job | None:
        """The job of a task with the ids that it begins with; None where those cannot be, which is recorded."""
        task: Task = job.key
        unfinished = None if self.config.overwrite else self.output.unfinished(task)
        if unfinished is not None:
            # Where the budget is used up, its last id is drawn anew: the same again.
            return replace(job, prefix=unfinished[: self.generator.budget(self.config) - 1])
        try:
            return replace(job, prefix=self.prefix.of(task.source.placement))
        except ValueError as error:
            self.output.fail(task, str(error))
            return None

    def _wanted(self, file: InputFile) -> list[tuple[int, int]]:
        """(repeat, face count) of the results of an input that are still to be made."""
        if self.config.overwrite:
            return self.asked
        if self.config.keep == "best":  # all that are compared, or none
            there = {n for n in self.config.test_num_face if self._has_best(file, n)}
            wanted = [(i, n) for i, n in self.asked if n not in there]
        else:
            wanted = [(i, n) for i, n in self.asked if not self.output.has_mesh(file, i, n)]
        self.skipped += len(self.asked) - len(wanted)
        for repeat, num_faces in wanted:
            if why := self.output.why_anew(file, repeat, num_faces):
                stem = stem_of(file.name, repeat, num_faces)
                self.tell(f"{stem} is generated again: the existing one was made with {why}")
        return wanted

    def _has_best(self, file: InputFile, num_faces: int) -> bool:
        repeats = range(self.config.test_repeat)
        return all(self.output.is_done(file, i, num_faces) for i in repeats) and any(
            self.output.has_mesh(file, i, num_faces) for i in repeats
        )

    # ---- what was made

    def _finish(self, task: Task, result: Result) -> None:
        if result.ending == "stopped" or self.config.keep == "all":
            self.output.write(task, result, partial=result.ending == "stopped")
            return
        name = task.source.file.name, task.num_faces
        group = self._groups.setdefault(name, [])
        group.append((task, result))
        if len(group) == self.config.test_repeat:
            self._keep_best(self._groups.pop(name))

    def _keep_best(self, group: list[tuple[Task, Result]]) -> None:
        """Write the mesh that is nearest to the input points, and a record of each."""
        group.sort(key=lambda pair: pair[0].repeat)
        first = group[0][0]
        assert first.source.points is not None
        points = first.source.points
        distances = [np.inf if r.ending == "invalid" else distance_to_points(r.mesh, points) for _, r in group]
        best = int(np.argmin(distances))
        texts = ", ".join(f"{distance:.4g} ({k})" for k, distance in enumerate(distances))
        self.tell(f"{first.source.file.name}, {first.num_faces}f: distances to the input {texts}; {best} is kept")
        for k, (task, result) in enumerate(group):
            self.output.write(task, result, distance=distances[k], kept=k == best)
