"""Weights from anywhere into a model: our checkpoints, the reference's, bare files, the Hugging Face hub.

Loading is tolerant for training (each parameter that differs is named in one warning) and strict for inference
(the same list as an error). Pickled files are read with `weights_only=True` alone: no code runs.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

WEIGHTS_NAME = "model.safetensors"
FOLDER_NAMES = (WEIGHTS_NAME, "pytorch_model.bin", "model.pt")
PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
# Where a pickled file may keep its parameters, instead of being a plain dictionary of them.
NESTED_KEYS = ("state_dict", "model", "model_state_dict")
# The one table whose length depends on the longest sequence.
POSITIONS_SUFFIX = "embed_positions.weight"
# A constant that the reference stores and that we compute; what the reference's DiT does not have.
IGNORED_SUFFIX = ("point_embed.basis", "latent_mean", "latent_scale", "embeddings.position_ids")
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
# The image tower's parameters as transformers named them before version 5, and so in the reference's checkpoints.
OLD_TOWER_PREFIX = ("image_encoder.vision_model.", "image_encoder.")
SAFETENSORS_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "BOOL": torch.bool,
}

Align = Literal["left", "right"]
Model = TypeVar("Model", bound=nn.Module)

log = logging.getLogger(__name__)


@dataclass
class LoadReport:
    """What became of each parameter; every list holds readable lines."""

    path: str
    loaded: int = 0
    aligned: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        """Whether anything but an aligned position table is not as the model wants it."""
        return bool(self.missing or self.unexpected or self.mismatched)

    def summary(self) -> str:
        """How many parameters differ, and how."""
        counts = {
            "not in the file": self.missing,
            "not in the model": self.unexpected,
            "of another shape": self.mismatched,
            "aligned": self.aligned,
        }
        return ", ".join(f"{len(names)} {what}" for what, names in counts.items() if names)

    def lines(self) -> list[str]:
        """One line for each parameter that differs."""
        return [
            *(f"not in the file: {name}" for name in self.missing),
            *(f"not in the model: {name}" for name in self.unexpected),
            *(f"another shape: {text}" for text in self.mismatched),
            *(f"positions aligned: {text}" for text in self.aligned),
        ]


def load_weights(model: nn.Module, path: str | Path, align: Align = "right", strict: bool = False) -> LoadReport:
    """Copy the weights at `path` into the model, casting them to its dtypes.

    Args:
        model: takes the weights; its own names are those of the reference's checkpoints.
        path: a checkpoint folder, a .safetensors, a .pt/.pth/.bin/.ckpt, or a hub id `owner/name`.
        align: which rows of a position table of another length are kept or filled: the last (right) or first (left).
        strict: any difference is an error, and then nothing is copied.

    Raises:
        ValueError: nothing readable at `path`; nothing in common with the model; NaN or an infinite value; or, if
            strict, any difference. Nothing is copied then.
    """
    source = {name.replace(*OLD_TOWER_PREFIX): values for name, values in read_weights(path).items()}
    report = LoadReport(str(path))
    wanted = model.state_dict()
    copies = _match(source, wanted, align, strict, report)
    if not copies:
        raise ValueError(f"{path}: no parameter in common with this model; it holds {_some(sorted(source))}")
    if strict and report.differs:
        raise ValueError(_not_its_weights(model, path, report))
    for name, tensor in wanted.items():
        if name in source:
            _refuse_not_finite(path, name, source[name], tensor.dtype)
    with torch.no_grad():
        for target, values in copies:
            target.copy_(values)
    report.loaded = len(copies)
    if report.lines():
        log.warning("%s: %d parameters loaded, %s%s", path, report.loaded, report.summary(), _listed(report))
    return report


def _not_its_weights(model: nn.Module, path: str | Path, report: LoadReport) -> str:
    other = other_options(model, path)
    of_options = f"\n  made with other options: {', '.join(other)}" if other else ""
    return f"{path}: not the weights of this model: {report.summary()}{of_options}{_listed(report)}"


def build_loaded(build: Callable[[], Model], path: str | Path, dtype: torch.dtype) -> Model:
    """A model for inference: built without memory, then given its weights one by one, so that they are held once.

    Args:
        build: makes the model; it is called under the meta device.
        path: as for `load_weights`; a .safetensors is read piece by piece, anything else at once.
        dtype: of the model's weights.

    Raises:
        ValueError: nothing readable at `path`, any difference from what the model wants, or a value that is NaN or
            infinite, in the file or in `dtype`.
    """
    with torch.device("meta"):
        model = build()
    file = find_weights(path)
    lazy = file.suffix == ".safetensors"
    weights = stream_safetensors(file) if lazy else iter(read_weights(path).items())
    wanted, report = model.state_dict(), LoadReport(str(path))
    found: dict[str, Tensor] = {}  # without their data
    for name, values in weights:
        name = name.replace(*OLD_TOWER_PREFIX)
        found[name] = values.to("meta")
        if name in wanted and wanted[name].shape == values.shape:
            _refuse_not_finite(path, name, values, dtype)
            _assign(model, name, values.to(dtype) if values.is_floating_point() else values)
            report.loaded += 1
    _match(found, wanted, "right", True, report)
    if report.differs:
        raise ValueError(_not_its_weights(model, path, report))
    assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
    return model.eval().requires_grad_(False)


def _refuse_not_finite(path: str | Path, name: str, values: Tensor, dtype: torch.dtype) -> None:
    """One NaN among the weights is NaN in every logit.

    Raises:
        ValueError: naming the parameter.
    """
    if not values.is_floating_point() or values.numel() == 0:
        return
    low, high = values.aminmax()  # both are NaN if any value is; needs no second copy
    if not (low.isfinite() and high.isfinite()):
        count = int((~values.isfinite()).sum())
        raise ValueError(f"{path}: {count} of {values.numel()} values of {name} are NaN or infinite")
    if dtype.is_floating_point and not (low.to(dtype).isfinite() and high.to(dtype).isfinite()):
        raise ValueError(f"{path}: values of {name} (to {max(-float(low), float(high)):.3g}) do not fit {dtype}")


def _assign(model: nn.Module, name: str, values: Tensor) -> None:
    place, _, leaf = name.rpartition(".")
    owner = model.get_submodule(place)
    if leaf in owner._parameters:
        owner._parameters[leaf] = nn.Parameter(values, requires_grad=False)
    else:
        owner._buffers[leaf] = values


def stream_safetensors(file: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a file in the order in which they lie there, each read when it is asked for.

    What maps the file instead keeps all that was read of it resident until it is closed.

    Raises:
        ValueError: it is not such a file, or is cut short.
    """
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= file.stat().st_size:
                raise ValueError("no header")
            entries = json.loads(stream.read(length))
            entries.pop("__metadata__", None)
            for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
                first, last = entry["data_offsets"]
                data = bytearray(last - first)
                stream.seek(8 + length + first)
                if stream.readinto(data) != len(data):
                    raise ValueError(f"{name} is cut short")
                dtype = SAFETENSORS_TYPES[entry["dtype"]]
                flat = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
                yield name, flat.reshape(entry["shape"])
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError, OSError) as error:
        raise ValueError(f"{file}: broken or not a file of weights: {_first_line(error)}") from error


def _listed(report: LoadReport) -> str:
    return "".join(f"\n  {line}" for line in report.lines())


def read_json(file: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        ValueError: naming the file, where it is damaged.
    """
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: damaged ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: damaged (it holds no object)")
    return content


def other_options(model: nn.Module, path: str | Path) -> list[str]:
    """`name value there (value here)` of each of the model's options that the weights' config.json says otherwise.

    Raises:
        ValueError: that file is damaged.
    """
    file = find_weights(path).parent / "config.json"
    config = getattr(model, "config", None)
    if not file.is_file() or not is_dataclass(config):
        return []
    there: Any = read_json(file)
    for name in ("options", "model"):
        there = there.get(name, {}) if isinstance(there, dict) else {}
    if not isinstance(there, dict):
        return []
    here = _leaves(json.loads(json.dumps(asdict(config))))  # type: ignore[arg-type]
    return [f"--{k} {v} ({here[k]} here)" for k, v in _leaves(there).items() if k in here and here[k] != v]


def _leaves(tree: dict[str, Any]) -> dict[str, Any]:
    """Options by their own name, which is unique whatever part they belong to."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        leaves |= _leaves(value) if isinstance(value, dict) else {name: value}
    return leaves


def _match(
    source: dict[str, Tensor], target: dict[str, Tensor], align: Align, strict: bool, report: LoadReport
) -> list[tuple[Tensor, Tensor]]:
    """Pairs (where to, what); what has no partner goes to the report."""
    copies = []
    for name, tensor in target.items():
        values = source.get(name)
        if values is None:
            if not name.endswith(IGNORED_SUFFIX):
                report.missing.append(name)
        elif values.shape == tensor.shape:
            copies.append((tensor, values))
        elif name.endswith(POSITIONS_SUFFIX) and values.shape[1:] == tensor.shape[1:] and not strict:
            copies.append(_align_rows(tensor, values, align))
            report.aligned.append(f"{name} ({len(values)} rows to {len(tensor)}, {align})")
        else:
            report.mismatched.append(f"{name} (file {_shape(values)}, model {_shape(tensor)})")
    report.unexpected += [name for name in source if name not in target and not name.endswith(IGNORED_SUFFIX)]
    return copies


def _align_rows(target: Tensor, values: Tensor, align: Align) -> tuple[Tensor, Tensor]:
    rows = min(len(target), len(values))
    if align == "left":
        return target[:rows], values[:rows]
    return target[len(target) - rows :], values[len(values) - rows :]


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Tensors by name on the CPU, from any place that `load_weights` takes.

    Raises:
        ValueError: nothing there, or not readable as weights.
    """
    file = find_weights(path)
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        if file.suffix in PICKLE_SUFFIXES:
            return _read_pickle(file)
    except OSError as error:
        raise ValueError(f"{file}: cannot be read: {error}") from error
    except (SafetensorError, RuntimeError, EOFError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{file}: broken or not a file of weights: {_first_line(error)}") from error
    raise ValueError(f"{file}: weights are .safetensors or {', '.join(PICKLE_SUFFIXES)}, not '{file.suffix}'")


def _read_pickle(file: Path) -> dict[str, Tensor]:
    import pickle

    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(_first_line(error)) from error
    for key in NESTED_KEYS:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict):
        raise ValueError(f"it holds a {type(loaded).__name__}, not parameters by name")
    return {name.removeprefix("module."): value for name, value in loaded.items() if isinstance(value, Tensor)}


def find_weights(path: str | Path) -> Path:
    """The file of weights that `path` means: the file itself, the one in a folder, or a download from the hub.

    Raises:
        ValueError: there is none.
    """
    local = Path(path).expanduser()
    if local.is_dir():
        for name in FOLDER_NAMES:
            if (local / name).is_file():
                return local / name
        raise ValueError(f"{path}: no weights in this folder (looked for {', '.join(FOLDER_NAMES)})")
    if local.exists():
        return local
    # A first part that is a folder here is a mistyped path, not somebody's name on the hub.
    is_hub_id = HUB_ID.fullmatch(str(path)) and not local.suffix and not Path(local.parts[0]).is_dir()
    if not is_hub_id:
        raise ValueError(f"{path}: no such file or folder of weights")
    return _download(str(path))


def _download(hub_id: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(hub_id, WEIGHTS_NAME))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = f"{WEIGHTS_NAME} did not come from the Hugging Face hub: {_first_line(error)}"
        raise ValueError(f"{hub_id}: no such file or folder here, and {reason}") from error


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _shape(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "scalar"


def _some(names: list[str], limit: int = 3) -> str:
    if not names:
        return "nothing"
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
