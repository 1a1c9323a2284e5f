"""What a user can ask of prepare.py."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Rules:
    """Which meshes are kept."""

    min_faces: int = 4
    """Smallest number of faces, after cleaning."""
    max_faces: int = 4000
    """Largest number of faces, after cleaning."""
    max_components: int = 0
    """Largest number of connected components; 0: no limit."""
    on_excess: Literal["drop", "split"] = "drop"
    """Meshes with too many faces or components: drop them, or split them into connected components and keep each that
    fits as a mesh."""
    min_thickness: float = 0.0
    """Smallest ratio of the shortest to the longest side; 0.01 drops flat cards and single planes."""
    max_lost_faces: float = 0.3
    """Largest share of faces that may collapse when vertices are rounded to the tokenizer's grid."""
    discrete_bins: int = 512
    """Number of steps of the tokenizer's grid along each axis."""
    meto_backend: Literal["LR_ABSCO", "LR", "CLERS"] = "LR_ABSCO"
    """Backend of the tokenizer that counts the tokens."""
    max_tokens: int = 40960
    """Largest number of tokens of a mesh."""
    duplicates: Literal["drop-near", "drop-equal", "keep"] = "drop-near"
    """What to drop as a duplicate. drop-near: the same object rotated about the y axis, mirrored, moved, scaled,
    renumbered or re-triangulated; drop-equal: files of equal bytes; keep: nothing."""

    def __post_init__(self) -> None:
        for name, least in (("min_faces", 1), ("max_faces", 1), ("max_components", 0), ("max_tokens", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} {getattr(self, name)}: must be {least} or more")
        if self.min_faces > self.max_faces:
            raise ValueError(f"--min_faces {self.min_faces} is more than --max_faces {self.max_faces}")
        for name in ("min_thickness", "max_lost_faces"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"--{name} {getattr(self, name)}: must be from 0 to 1")
        if not 2 <= self.discrete_bins <= 65536:
            raise ValueError(f"--discrete_bins {self.discrete_bins}: 2 to 65536 are possible")


@dataclass(frozen=True)
class Limits:
    """Limits of reading one file."""

    timeout: float = 30.0
    """Seconds for one file."""
    memory: int = 2048
    """MiB of memory (address space) for one file."""
    max_file_mb: int = 512
    """Largest size of a file in MiB, unpacked."""

    def __post_init__(self) -> None:
        for name, least in (("timeout", 0.1), ("memory", 64), ("max_file_mb", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} {getattr(self, name)}: must be {least} or more")


@dataclass(frozen=True)
class Content:
    """What is stored of a mesh. Besides the source, the bytes of a set depend only on this and the rules."""

    colors: bool = True
    """Store the colour of each face, if the file has any (vertex or face colours, materials, textures)."""
    views: int = 0
    """Number of pictures of each mesh to store, for the image model."""
    view_size: int = 512
    """Width and height of a picture in pixels."""
    source: str = ""
    """Value of the column `source`; default: the name of the folder, archive or list."""
    licence: str = ""
    """Value of the column `licence`, for files without one in --metadata."""
    metadata: str = ""
    """File of JSON lines with `name` (as in the set, or without its suffix), and `licence` or `source`."""
    seed: int = 0
    """Seed of shapes:N and of the pictures' views."""
    shard_size: int = 4096
    """Inputs per shard. An interrupted run repeats its last shard."""

    def __post_init__(self) -> None:
        if not 0 <= self.views <= 256:
            raise ValueError(f"--views {self.views}: must be from 0 to 256")
        if not 16 <= self.view_size <= 4096:
            raise ValueError(f"--view_size {self.view_size}: must be from 16 to 4096")
        if self.shard_size < 1:
            raise ValueError(f"--shard_size {self.shard_size}: must be 1 or more")
        if self.seed < 0:
            raise ValueError(f"--seed {self.seed}: must be 0 or more")


@dataclass(frozen=True)
class Task:
    """What a worker needs to know."""

    rules: Rules = field(default_factory=Rules)
    limits: Limits = field(default_factory=Limits)
    content: Content = field(default_factory=Content)


@dataclass(frozen=True)
class PrepareConfig:
    src: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SRC")]
    """A folder tree, a .zip or .tar(.gz, .bz2, .xz), a list (.txt: one path or URL per line), s3://bucket/folder or any
    other URL that fsspec opens, objaverse:UID,UID or objaverse:FILE, or shapes:N for N procedural shapes."""
    dst: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DST")]
    """Folder of the set. If it holds a set already, only the missing inputs are read."""
    task: Task = field(default_factory=Task)
    workers: int = 0
    """Number of processes; 0: one per core."""
    ray: str = ""
    """Address of a Ray cluster to work on ("auto", "local", "ray://head:10001"); needs `pip install ray`."""
    restart: bool = False
    """Delete the set that is in DST, and start again."""

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ValueError(f"--workers {self.workers}: must be 0 (one a core) or more")
