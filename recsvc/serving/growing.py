"""An array that grows: appended to and changed in place by one writer, read by others meanwhile."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_FIRST_CAPACITY: Final = 64


class Growing:
    """A NumPy array with room behind its end. Who holds `values` keeps them whole, of their length, while it grows."""

    def __init__(self, dtype: npt.DTypeLike, width: int | None = None) -> None:
        """`width`: of the rows of a two-dimensional array."""
        self._count = 0
        self._array: npt.NDArray[Any] = np.empty(
            (_FIRST_CAPACITY,) if width is None else (_FIRST_CAPACITY, width), dtype=dtype
        )

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> Growing:
        """With those values to begin with, which are its own from then on."""
        made = cls(values.dtype, values.shape[1] if values.ndim > 1 else None)
        made._array, made._count = values, len(values)
        return made

    def __len__(self) -> int:
        return self._count

    @property
    def values(self) -> npt.NDArray[Any]:
        """What was appended so far."""
        return self._array[: self._count]

    def append(self, value: Any) -> int:
        """Adds one at the end; its place."""
        if self._count == len(self._array):
            wider = np.empty((max(2 * self._count, _FIRST_CAPACITY), *self._array.shape[1:]), dtype=self._array.dtype)
            wider[: self._count] = self._array
            self._array = wider
        self._array[self._count] = value
        self._count += 1
        return self._count - 1

    def put(self, place: int, value: Any) -> None:
        """Changes one in place."""
        self._array[place] = value
