"""What a user can ask of prepare.py."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Rules:
    """Which meshes are kept."""

    min_faces: int = 4
    """Fewest faces of a mesh, after cleaning."""
    max_faces: int = 4000
    """Most faces of a mesh."""
    max_components: int = 0
    """Most connected components of a mesh; 0: any number."""
    on_excess: Literal["drop", "split"] = "drop"
    """Meshes of too many faces or components: drop them, or split them into their connected components, each of which
    is a mesh of its own if it fits."""
    min_thickness: float = 0.0
    """Least ratio of the shortest to the longest side: 0.01 drops flat cards and single planes."""
    max_lost_faces: float = 0.3
    """Largest share of faces that may collapse when vertices are rounded to the tokenizer's grid."""
    discrete_bins: int = 512
    """Steps of that grid along each axis."""
    meto_backend: Literal["LR_ABSCO", "LR", "CLERS"] = "LR_ABSCO"
    """Tokens are counted as this backend of the tokenizer writes them."""
    max_tokens: int = 40960
    """Most tokens of a mesh."""
    duplicates: Literal["drop-near", "drop-equal", "keep"] = "drop-near"
    """What goes as a duplicate: also what is the same turned about the y axis, mirrored, moved, scaled, renumbered or
    re-triangulated; only files of equal bytes; nothing."""

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
    """What one file may cost."""

    timeout: float = 30.0
    """Seconds."""
    memory: int = 2048
    """MiB that reading it may take."""
    max_file_mb: int = 512
    """MiB of the file, unpacked."""

    def __post_init__(self) -> None:
        for name, least in (("timeout", 0.1), ("memory", 64), ("max_file_mb", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} {getattr(self, name)}: must be {least} or more")


@dataclass(frozen=True)
class Content:
    """What is written of a mesh. With the rules, all that the bytes of a set depend on besides its source."""

    colors: bool = True
    """Keep the colour of each face, where the file has any (vertex or face colours, materials, textures)."""
    views: int = 0
    """Pictures of each mesh to store, for the image model."""
    view_size: int = 512
    """Width and height of a picture in pixels."""
    source: str = ""
    """Value of the column `source`; empty: the name of the folder, archive or list."""
    licence: str = ""
    """Value of the column `licence`, where --metadata has none."""
    metadata: str = ""
    """JSON lines with `name` (as in the set, or without its suffix), and `licence` or `source` of that file."""
    seed: int = 0
    """Of shapes:N, and of the pictures' views."""
    shard_size: int = 4096
    """Inputs to a shard. An interrupted run loses what it did on its last shard."""

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
    """A folder tree, a .zip or .tar(.gz, .bz2, .xz), a list (.txt: a path or URL a line), s3://bucket/folder or any
    other URL that fsspec opens, objaverse:UID,UID or objaverse:FILE, or shapes:N for N procedural shapes."""
    dst: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DST")]
    """Folder of the set. One that holds a set already is continued: only inputs that it lacks are read."""
    task: Task = field(default_factory=Task)
    workers: int = 0
    """Processes; 0: one a core."""
    ray: str = ""
    """Address of a Ray cluster to work on ("auto", "local", "ray://head:10001"); needs `pip install ray`."""
    restart: bool = False
    """Throw away what DST holds of an earlier set, and begin anew."""

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ValueError(f"--workers {self.workers}: must be 0 (one a core) or more")
