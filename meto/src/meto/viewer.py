"""A page that plays a traversal face by face: self-contained HTML, nothing is loaded from anywhere.

    page = render_page(play_encoding(vertices, faces, engine), title="chair.glb")
    page = render_page(play_decoding(tokens, engine), title="tokens.npy")

The page draws with WebGL 2. Its parts lie in `page/`: index.html, style.css, scene.js (drawing), player.js (controls).
"""

import base64
import html
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from meto._arrays import as_tokens
from meto.engine import Engine
from meto.grammar import VALUES_PER_FACE, Grammar, Violation
from meto.naive import NaiveEngine

PAGE = Path(__file__).parent / "page"


@dataclass(frozen=True)
class Playback:
    """A token stream taken apart into the groups of its F faces, and the faces as they are decoded."""

    mode: str
    """"encoding" or "decoding"."""
    backend: str
    bins: int
    tokens: np.ndarray
    """(T,) int32"""
    group_start: np.ndarray
    """(F + 1,) where each face's tokens begin, and where the last one's end."""
    cells: np.ndarray
    """(F, 3, 3) uint16: the grid cells of each face's tip, start and end."""
    arriving: np.ndarray
    """(F,) uint8: the token class of the op that leads to the face."""
    leaving: np.ndarray
    """(F,) uint8: that of the op that leaves it."""
    violation: Violation | None = None
    """Where the stream goes wrong; the faces before it are played."""

    @property
    def num_faces(self) -> int:
        return len(self.cells)


def play_encoding(vertices: Any, faces: Any, engine: Engine | NaiveEngine) -> Playback:
    """The encoding of a mesh with vertices (V, 3) in [-1, 1] and faces (F, 3); ValueError like `engine.encode`."""
    tokens, _, _ = engine.encode(vertices, faces)
    return replace(play_decoding(tokens, engine), mode="encoding")


def play_decoding(tokens: Any, engine: Engine | NaiveEngine) -> Playback:
    """The decoding of `tokens` (T,), up to the first that is wrong; ValueError if there is no whole face before it."""
    tokens = as_tokens(tokens)
    vertices, faces, face_type, violation = engine.salvage(tokens)
    if len(faces) == 0:
        raise ValueError("no faces" if violation is None else f"token {violation.position}: {violation.reason}")
    bins = engine.discrete_bins
    cells = np.rint((vertices.astype(np.float64) + 1) / 2 * bins - 0.5).astype(np.uint16)[faces]
    starts = _group_starts(engine.grammar, tokens)[: len(faces)]
    end = len(tokens) if violation is None else violation.position
    return Playback(
        mode="decoding",
        backend=engine.backend,
        bins=bins,
        tokens=tokens,
        group_start=np.append(starts, end),
        cells=cells,
        arriving=engine.grammar.token_class[tokens[starts]],
        leaving=face_type.astype(np.uint8),
        violation=violation,
    )


def _group_starts(grammar: Grammar, tokens: np.ndarray) -> np.ndarray:
    """Positions at which faces begin: every ninth token, or every op that a coordinate follows."""
    if grammar.num_classes == 1:
        return np.arange(0, len(tokens), VALUES_PER_FACE)
    is_coordinate = np.append(tokens >= grammar.num_classes - 1, False)
    return np.flatnonzero(~is_coordinate[:-1] & is_coordinate[1:])


def render_page(playback: Playback, title: str) -> str:
    """The HTML page of a playback."""
    grammar_classes = {"naive": ["face"], "CLERS": ["C", "L", "E", "R", "S", "BOM", "EOM"]}
    data = {
        "title": title,
        "mode": playback.mode,
        "backend": playback.backend,
        "bins": playback.bins,
        "classes": grammar_classes.get(playback.backend, ["L", "R", "BOM"]),
        "error": f"token {playback.violation.position}: {playback.violation.reason}" if playback.violation else "",
        "tokens": _pack(playback.tokens, "<i4"),
        "groupStart": _pack(playback.group_start, "<u4"),
        "cells": _pack(playback.cells, "<u2"),
        "arriving": _pack(playback.arriving, "u1"),
        "leaving": _pack(playback.leaving, "u1"),
    }
    parts = {
        "TITLE": html.escape(title),
        "STYLE": (PAGE / "style.css").read_text(encoding="utf-8"),
        "DATA": json.dumps(data).replace("<", "\\u003c"),
        "SCENE": (PAGE / "scene.js").read_text(encoding="utf-8"),
        "PLAYER": (PAGE / "player.js").read_text(encoding="utf-8"),
    }
    head, *pieces = (PAGE / "index.html").read_text(encoding="utf-8").split("{{")
    filled = [parts[name] + rest for name, rest in (piece.split("}}", 1) for piece in pieces)]
    return "".join([head, *filled])


def _pack(array: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=dtype).tobytes()).decode("ascii")
