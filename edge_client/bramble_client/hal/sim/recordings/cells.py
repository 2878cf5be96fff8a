"""The cells of one column, cut out of a block of text: read all at once where they are plain, one by one where they are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_DIGITS = 15
"""As many decimal digits a float64 holds exactly, so that a whole number divided by a power of ten is the nearest to what was written."""
_POWERS = 10.0 ** np.arange(_DIGITS + 1)


class Cells(Sequence[str]):
    """Cells in order, each between two places of the same bytes.

    Parameters
    ----------
    data
        UTF-8, shape (size,).
    begin, end
        Where each cell begins and what comes behind it, shape (n,).
    """

    def __init__(self, data: NDArray[np.uint8], begin: NDArray[np.int64], end: NDArray[np.int64]) -> None:
        self._data, self._begin, self._end = data, begin, end

    @classmethod
    def of(cls, texts: Sequence[str]) -> Cells:
        """Return the cells that hold these texts."""
        parts = [text.encode() for text in texts]
        end = np.cumsum([len(part) for part in parts], dtype=np.int64)
        return cls(np.frombuffer(b"".join(parts), np.uint8), np.concatenate(([0], end[:-1])), end)

    def __len__(self) -> int:
        return len(self._begin)

    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        return self._data[self._begin[index] : self._end[index]].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        whole = self._data.tobytes()
        return (whole[begin:end].decode() for begin, end in zip(self._begin.tolist(), self._end.tolist(), strict=True))

    def hold(self, mark: str) -> bool:
        """Say whether an ASCII character stands in any of them."""
        places = np.flatnonzero(self._data == ord(mark))
        cell = np.searchsorted(self._begin, places, side="right") - 1
        return bool(((cell >= 0) & (places < self._end[cell])).any())

    def table(self) -> NDArray[np.uint8] | None:
        """Return the bytes, shape (n, length), if all cells are of one length."""
        length = self._end - self._begin
        if (length != length[0]).any():
            return None
        return self._data[self._begin[:, None] + np.arange(length[0])]

    def numbers(self) -> NDArray[np.float64] | None:
        """Return the numbers, shape (n,), if all cells are plain ones: a sign, digits, a point. They are those that ``float`` reads.

        An empty cell is NaN.
        """
        length = self._end - self._begin
        if length.max() > _DIGITS + 2 or not len(self._data):
            return None
        whole = np.zeros(len(self), np.int64)
        digits, point = np.zeros(len(self), np.int64), length - 1
        points = np.zeros(len(self), np.int64)
        for place in range(int(length.max())):
            inside = place < length
            byte = self._data[np.where(inside, self._begin + place, 0)]
            digit = byte - np.uint8(ord("0"))  # what is no digit wraps to something greater than 9
            is_digit, is_point = inside & (digit <= 9), inside & (byte == ord("."))
            whole = np.where(is_digit, whole * 10 + digit, whole)
            digits += is_digit
            points += is_point
            point = np.where(is_point, place, point)
            other = inside & ~is_digit & ~is_point
            if place == 0:
                other &= (byte != ord("-")) & (byte != ord("+"))
            if other.any():
                return None
        empty = length == 0
        if ((digits < 1) & ~empty).any() or digits.max() > _DIGITS or points.max() > 1:
            return None
        numbers: NDArray[np.float64] = whole / _POWERS[length - 1 - point]
        numbers[empty] = np.nan
        negative = self._data[np.where(empty, 0, self._begin)] == ord("-")
        return np.where(negative, -numbers, numbers)
