"""Text that holds numbers, whatever wrote it, to arrays."""

import codecs
import warnings

import numpy as np

_BLANKS = bytes.maketrans(b"\t\v\f\0", b"    ")


def normalized(data: bytes) -> bytes:
    """Text as ASCII-like bytes: no byte order mark, UTF-16 told by its mark, lines ended by \\n, blanks for tabs."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16", "replace").encode()
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.translate(_BLANKS) if any(mark in data for mark in (b"\t", b"\v", b"\f", b"\0")) else data


def numbers(text: bytes) -> np.ndarray:
    """All numbers of a text, separated by blanks and line ends, float64.

    Raises:
        ValueError: naming the first word that is not a number, and its line.
    """
    if not text.strip():
        return np.zeros(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # how older numpy says that it stopped half way
            return np.fromstring(text, sep=" ")
    except (ValueError, DeprecationWarning):
        pass
    for line in text.split(b"\n"):
        for word in line.split():
            try:
                float(word)
            except ValueError:
                why = "; decimal commas are not read" if b"," in word else ""
                raise ValueError(f"{shown(word)} is not a number (line {shown(line)}){why}") from None
    raise ValueError("holds words that are no numbers")


def counts_per_line(text: bytes) -> np.ndarray:
    """(L,) int64 how many words each line of a text without an end of line at its end holds."""
    characters = np.frombuffer(text, np.uint8)
    return _counts(characters, _word_starts(characters))


def whole_numbers(text: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The whole number that each word begins with, before a '/' or its end, (N,) int64; and the words of each line.

    Raises:
        ValueError: naming a word that does not begin so.
    """
    characters = np.frombuffer(text, np.uint8)
    starts = _word_starts(characters)
    at, ends = starts, np.flatnonzero((characters <= 32) | (characters == ord("/")))
    ends = np.append(ends, len(characters))[np.searchsorted(ends, starts)]
    values = np.zeros(len(starts), np.int64)
    negative = characters[starts] == ord("-")
    at = starts + negative
    wrong = (at >= ends) | (ends - at > 18)  # no index has more digits
    for _ in range(min(int((ends - at).max(initial=0)), 18)):
        left = at < ends
        digits = characters[np.minimum(at, len(characters) - 1)] - np.uint8(ord("0"))  # below 0 it goes round
        wrong |= left & (digits > 9)
        values = np.where(left, values * 10 + digits, values)
        at = at + 1
    if wrong.any():
        word = text[starts[wrong.argmax()] :].split(maxsplit=1)[0]
        raise ValueError(f"{shown(word)} is not a whole number")
    return np.where(negative, -values, values), _counts(characters, starts)


def _word_starts(characters: np.ndarray) -> np.ndarray:
    """(W,) where words begin in a text (n,) uint8."""
    word = characters > 32
    starts = word.copy()
    starts[1:] &= ~word[:-1]
    return np.flatnonzero(starts)


def _counts(characters: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(L,) how many of `starts` lie in each line."""
    if len(characters) == 0:
        return np.zeros(0, np.int64)
    ends = np.append(np.flatnonzero(characters == ord("\n")), len(characters))
    return np.diff(np.searchsorted(starts, ends), prepend=0)


def table(text: bytes, columns: int) -> np.ndarray:
    """(L, columns) float64 the first numbers of each line; lines may hold more.

    Raises:
        ValueError: naming the first line that holds fewer, or a word that is not a number.
    """
    values, counts = numbers(text), counts_per_line(text)
    if len(counts) == 0:
        return np.zeros((0, columns))
    if (short := np.flatnonzero(counts < columns)).size:
        line = text.split(b"\n")[short[0]]
        raise ValueError(f"line {shown(line)} holds {counts[short[0]]} numbers, {columns} are needed")
    if (counts == counts[0]).all():
        return values.reshape(len(counts), -1)[:, :columns]
    return values[(np.cumsum(counts) - counts)[:, None] + np.arange(columns)]


def shown(text: bytes, most: int = 60) -> str:
    """Bytes of a file as they are quoted in a message: one line, not long, nothing that controls a terminal."""
    plain = "".join(c if c.isprintable() else "?" for c in text.decode("utf-8", "replace").strip())
    return repr(plain if len(plain) <= most else plain[:most] + "...")
