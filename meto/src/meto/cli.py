"""The command line: `python -m meto encode|decode|stats|view FILE...` (`--help` tells the rest)."""

import argparse
import io
import math
import os
import sys
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from meto.engine import Engine
from meto.files import MESH_SUFFIXES, write_bytes, write_mesh
from meto.grammar import BACKENDS
from meto.mesh import clean_mesh, load_mesh
from meto.naive import NaiveEngine
from meto.viewer import play_decoding, play_encoding, render_page

TOKENS_SUFFIX = ".npy"


class Source(NamedTuple):
    """An input file, and the name that its output is called after (with the folders below the one that was given)."""

    path: Path
    name: Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, or 1 if any input failed (each is reported, the others are done)."""
    arguments = parser().parse_args(argv)
    try:
        arguments.engine = make_engine(arguments.backend, arguments.bins)
        return int(arguments.run(arguments))
    except BrokenPipeError:  # whoever read our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, ImportError, OSError) as error:
        return _complain(error)
    except KeyboardInterrupt:
        return _complain("interrupted") + 129


def make_engine(backend: str, bins: int) -> Engine | NaiveEngine:
    return NaiveEngine(bins) if backend == "naive" else Engine(bins, backend=backend)


# ---- commands -------------------------------------------------------------------------------------------------------


def encode(arguments: argparse.Namespace) -> int:
    """Mesh files to token files."""

    def work(source: Source, output: Path) -> str:
        vertices, faces = _load(source.path, arguments)
        tokens, _, _ = arguments.engine.encode(vertices, faces)
        buffer = io.BytesIO()
        np.save(buffer, tokens)
        write_bytes(output, buffer.getvalue())
        return f"{len(faces):,} faces, {len(tokens):,} tokens"

    return _convert(arguments, work, TOKENS_SUFFIX, MESH_SUFFIXES)


def decode(arguments: argparse.Namespace) -> int:
    """Token files to mesh files."""

    def work(source: Source, output: Path) -> str:
        tokens = _load_tokens(source.path, arguments)
        vertices, faces, _, violation = arguments.engine.salvage(tokens)
        if violation is not None and not (arguments.salvage and len(faces)):
            raise ValueError(f"token {violation.position}: {violation.reason}")
        if len(faces) == 0:
            raise ValueError("no faces")
        if not arguments.raw:
            vertices, faces = clean_mesh(vertices, faces, merge_distance=0)
        write_mesh(output, vertices, faces)
        rest = "" if violation is None else f", stopped at token {violation.position}: {violation.reason}"
        return f"{len(vertices):,} vertices, {len(faces):,} faces{rest}"

    return _convert(arguments, work, f".{arguments.format.lstrip('.')}", (TOKENS_SUFFIX,))


def stats(arguments: argparse.Namespace) -> int:
    """A table of what files cost in tokens."""
    sources, failures = find_inputs(arguments.files, MESH_SUFFIXES)
    if not sources:
        return 1
    rows: list[Row] = []
    width = max([len("total"), len("file"), *(len(str(source.name)) for source in sources)])
    print(f"{'file':<{width}} {'faces':>9} {'tokens':>10} {'tokens/face':>12} {'sub-meshes':>11} {'bits/face':>10}")
    for source in sources:
        try:
            rows.append(_measure(source.path, arguments))
        except (ValueError, OSError) as error:
            failures += _complain(error, source.path)
            continue
        _print_row(str(source.name), rows[-1], width, arguments.engine.num_tokens)
    total = Row(*(sum(column) for column in zip(*rows, strict=True))) if rows else Row(0, 0, 0)
    print("-" * (width + 57))
    _print_row("total", total, width, arguments.engine.num_tokens)
    if failures and len(sources) > 1:
        print(f"{len(rows)} files, {failures} failed", file=sys.stderr)
    return int(failures > 0)


def view(arguments: argparse.Namespace) -> int:
    """Pages that play a traversal."""

    def work(source: Source, output: Path) -> str:
        if source.path.suffix.lower() == TOKENS_SUFFIX:
            playback = play_decoding(_load_tokens(source.path, arguments), arguments.engine)
        else:
            playback = play_encoding(*_load(source.path, arguments), arguments.engine)
        write_bytes(output, render_page(playback, title=source.path.name).encode())
        if arguments.open:
            webbrowser.open(output.resolve().as_uri())
        wrong = playback.violation
        rest = "" if wrong is None else f", stops at token {wrong.position}: {wrong.reason}"
        return f"{playback.num_faces:,} faces{rest}"

    return _convert(arguments, work, ".html", (*MESH_SUFFIXES, TOKENS_SUFFIX))


# ---- inputs and outputs ---------------------------------------------------------------------------------------------


def find_inputs(paths: Sequence[Path], suffixes: tuple[str, ...]) -> tuple[list[Source], int]:
    """Files as they are given, and those below folders that have one of `suffixes`, sorted; and the failures."""
    sources, failures = [], 0
    for path in paths:
        if path.is_dir():
            inside = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in suffixes and p.is_file()]
            sources += [Source(p, p.relative_to(path)) for p in inside]
            if not inside:
                failures += _complain(f"no {', '.join(suffixes)} in this folder", path)
        elif path.exists():
            sources.append(Source(path, Path(path.name)))
        else:
            failures += _complain("no such file or folder", path)
    return sources, failures


def _convert(
    arguments: argparse.Namespace, work: Callable[[Source, Path], str], suffix: str, suffixes: tuple[str, ...]
) -> int:
    """Do `work` for every input, each with an output file of its own."""
    sources, failures = find_inputs(arguments.files, suffixes)
    written: dict[Path, Path] = {}
    for source in sources:
        output = _output_path(source, arguments.output, suffix, single=len(sources) == 1)
        try:
            if output in written:
                raise ValueError(f"would overwrite {output}, which was made of {written[output]}")
            summary = work(source, output)
        except (ValueError, OSError) as error:
            failures += _complain(error, source.path)
            continue
        written[output] = source.path
        print(f"{source.path} -> {output}: {summary}", flush=True)
    if failures and len(sources) > 1:
        print(f"{len(written)} files done, {failures} failed", file=sys.stderr)
    return int(failures > 0)


def _output_path(source: Source, output: Path | None, suffix: str, single: bool) -> Path:
    """Beside the input, in the output folder, or the very file that --output names."""
    if output is None:
        return source.path.with_suffix(suffix)
    if single and output.suffix.lower() == suffix and not output.is_dir():
        return output
    return (output / source.name).with_suffix(suffix)


def _load(path: Path, arguments: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    return load_mesh(path, bound=arguments.bound, clean=not arguments.no_clean)


def _load_tokens(path: Path, arguments: argparse.Namespace) -> np.ndarray:
    try:
        tokens = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        raise ValueError(f"not a .npy file of tokens: {error}") from error
    if not isinstance(tokens, np.ndarray) or tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise ValueError("not a .npy file with a row of whole numbers")
    return tokens.astype(np.int64) - arguments.id_offset


def _complain(error: object, path: Path | None = None) -> int:
    """One line on stderr; returns 1, the number of failures it stands for."""
    text = str(error)
    print(f"error: {text if path is None or text.startswith(str(path)) else f'{path}: {text}'}", file=sys.stderr)
    return 1


# ---- the table ------------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """What one file, or all of them, holds."""

    faces: int
    tokens: int
    submeshes: int


def _measure(path: Path, arguments: argparse.Namespace) -> Row:
    engine = arguments.engine
    if path.suffix.lower() == TOKENS_SUFFIX:
        tokens = _load_tokens(path, arguments)
        num_faces = len(engine.decode(tokens)[1])
    else:
        vertices, faces = _load(path, arguments)
        tokens, num_faces = engine.encode(vertices, faces)[0], len(faces)
    names = engine.grammar.class_names
    submeshes = int((tokens == names.index("BOM")).sum()) if "BOM" in names else num_faces
    return Row(num_faces, len(tokens), submeshes)


def _print_row(name: str, row: Row, width: int, num_tokens: int) -> None:
    per_face = row.tokens / row.faces if row.faces else math.nan
    bits = per_face * math.log2(num_tokens)
    print(
        f"{name:<{width}} {row.faces:>9,} {row.tokens:>10,} {per_face:>12.3f} {row.submeshes:>11,} {bits:>10.2f}",
        flush=True,
    )


# ---- options --------------------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """The command line's options."""
    top = argparse.ArgumentParser(
        prog="python -m meto",
        description="Triangle meshes to tokens, and back. A file that fails is reported and skipped; "
        "the exit code is then 1.",
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    mesh_files = f"mesh files ({', '.join(MESH_SUFFIXES)}) or folders of them"

    command = _command(commands, encode, "mesh files to token files (.npy, int32)", mesh_files)
    _add_mesh_options(command)
    _add_output(command, ".npy")

    command = _command(commands, decode, "token files to mesh files", "token files (.npy) or folders of them")
    _add_token_options(command)
    command.add_argument("--format", default="obj", help="obj, ply, stl, off, glb (default: %(default)s)")
    command.add_argument("--raw", action="store_true", help="keep every face's own vertices and equal faces")
    command.add_argument("--salvage", action="store_true", help="of a broken file, write the faces before the error")
    _add_output(command, "its format's suffix")

    command = _command(
        commands,
        stats,
        "table of faces, tokens, tokens a face, sub-meshes and bits a face",
        f"{mesh_files}, or token files",
    )
    command.epilog = (
        "bits/face is tokens/face times log2(size of the vocabulary). The naive backend has a sub-mesh a face."
    )
    _add_mesh_options(command)
    _add_token_options(command)

    command = _command(
        commands,
        view,
        "a page that plays the traversal in any browser: encoding for a mesh file, decoding for a token file",
        f"{mesh_files}, or token files (.npy)",
    )
    command.epilog = (
        "The page takes commands in its address: page.html#frame=120&play=1&speed=20&yaw=0.6&pitch=0.4&zoom=1"
        "&colour=arriving|leaving|submesh|order&theme=light|dark, and 0 or 1 for todo, path, starts, spin, bare."
    )
    _add_mesh_options(command)
    _add_token_options(command)
    command.add_argument("--open", action="store_true", help="open the page in the browser")
    _add_output(command, ".html")
    return top


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    run: Callable[[argparse.Namespace], int],
    text: str,
    files: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(run.__name__, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(run=run)
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help=files)
    command.add_argument(
        "--backend",
        default="LR_ABSCO",
        choices=[*BACKENDS, "naive"],
        help="the tokens' language (default: %(default)s)",
    )
    command.add_argument(
        "--bins", type=int, default=512, help="cells of the grid on each axis, 2 to 65536 (default: %(default)s)"
    )
    return command


def _add_mesh_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--bound",
        type=_bound,
        default=0.95,
        help="half the longest side after normalising, up to 1 (default: %(default)s)",
    )
    command.add_argument(
        "--no-clean", action="store_true", help="merge no vertices, keep degenerate and duplicate faces"
    )


def _add_token_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--id-offset",
        type=int,
        default=0,
        metavar="N",
        help="token files hold a model's ids, which are token + N (EdgeRunner's: 3; default: %(default)s)",
    )


def _add_output(command: argparse.ArgumentParser, suffix: str) -> None:
    command.add_argument(
        "-o",
        "--output",
        type=Path,
        help=f"folder, or for one input a file name with {suffix} (default: beside the input)",
    )


def _bound(text: str) -> float:
    bound = float(text)
    if not 0 < bound <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not in (0, 1]")
    return bound
