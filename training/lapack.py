"""Positive definite systems, many of them, on several threads at once."""

from __future__ import annotations

import ctypes
from typing import Any, Final

import numpy as np
from scipy.linalg import cython_lapack

from recsvc.bundle.types import Float32, Float64

_CAPSULE_NAME: Final = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
_CAPSULE_POINTER: Final = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_LOWER: Final = ctypes.byref(ctypes.c_char(b"L"))
_ONE: Final = ctypes.byref(ctypes.c_int(1))


def _posv(capsule: object) -> Any:
    """A LAPACK routine of `scipy.linalg.cython_lapack`, its public C interface; ctypes calls it without the GIL."""
    address = _CAPSULE_POINTER(capsule, _CAPSULE_NAME(capsule))
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 8)(address)


_POSV: Final = {
    np.dtype(np.float32): _posv(cython_lapack.__pyx_capi__["sposv"]),
    np.dtype(np.float64): _posv(cython_lapack.__pyx_capi__["dposv"]),
}


def solve_positive(systems: Float32 | Float64, targets: Float32 | Float64) -> None:
    """Solves systems[i] · x = targets[i] for each i by Cholesky; x replaces `targets`, `systems` is overwritten.

    `systems` (b, n, n) symmetric positive definite, of which one triangle is read, and `targets` (b, n), both
    C-contiguous and of one dtype, float32 or float64. `scipy.linalg.lapack.dposv` keeps the interpreter's lock while
    it computes and so cannot run on two cores; here the lock is free. Raises LinAlgError when one is not positive
    definite.
    """
    posv = _POSV[systems.dtype]
    size, info = ctypes.c_int(systems.shape[1]), ctypes.c_int(0)
    n, status = ctypes.byref(size), ctypes.byref(info)
    system, target = systems.ctypes.data, targets.ctypes.data
    for _ in range(len(systems)):
        posv(_LOWER, n, _ONE, system, n, target, n, status)
        if info.value != 0:
            raise np.linalg.LinAlgError("a system is not positive definite")
        system += systems.strides[0]
        target += targets.strides[0]
