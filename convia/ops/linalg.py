"""Matrices: factors, eigenvalues, inverses, equations. Leading axes are batches."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from convia.errors import explain
from convia.ops.door import floating, public, publish, result_dtype, tensor


def _check(who: str, x: Tensor, square: bool = True) -> None:
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        expected = "square matrices (…, n, n)" if square else "matrices (…, m, n)"
        raise ValueError(explain(who, f"shape {tuple(x.shape)}", expected))


def _check_sides(who: str, a: Tensor, b: Tensor) -> None:
    _check(who, a)
    if b.ndim == 0 or (b.shape[-1] if b.ndim == a.ndim - 1 else b.shape[-2]) != a.shape[-1]:
        received = f"a of shape {tuple(a.shape)}, b of shape {tuple(b.shape)}"
        raise ValueError(explain(who, received, "b of shape (…, n) or (…, n, k) for a of (…, n, n)"))


def _of_square(function: Callable[..., Any], doc: str) -> Any:
    def _row(x: Any) -> Any:
        _check(_row.__name__, x)
        return function(x)

    _row.__doc__ = doc
    return public(1)(_row)


det = _of_square(torch.linalg.det, "The determinant.")
eig = _of_square(lambda x: tuple(torch.linalg.eig(x)), "Eigenvalues and eigenvectors (in columns), complex.")
eigh = _of_square(lambda x: tuple(torch.linalg.eigh(x)), "Eigenvalues and eigenvectors of symmetric matrices.")
inv = _of_square(torch.linalg.inv, "The inverse.")
logdet = _of_square(torch.logdet, "ln of the determinant; NaN where it is negative.")
slogdet = _of_square(lambda x: tuple(torch.linalg.slogdet(x)), "The sign and ln |·| of the determinant.")


@public(1)
def cholesky(x: Any, upper: bool = False) -> Any:
    """L with x = L·Lᵀ of positive definite matrices, or its transpose.

    Raises:
        ValueError: not positive definite.
    """
    _check("cholesky", x)
    try:
        return torch.linalg.cholesky(x, upper=upper)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise ValueError(explain("cholesky", "a matrix without that factor", "positive definite", str(error))) from None


@public(1)
def cholesky_inverse(x: Any, upper: bool = False) -> Any:
    """The inverse of the matrix whose Cholesky factor is x."""
    _check("cholesky_inverse", x)
    return torch.cholesky_inverse(x, upper=upper)


@public(1)
def lu_factor(x: Any) -> Any:
    """L and U in one matrix, and for each row with which one (from 0) it was exchanged."""
    _check("lu_factor", x, square=False)
    factors, pivots = torch.linalg.lu_factor(x)
    return factors, pivots - 1


@public(1)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """A norm of vectors (one axis) or matrices (two axes); by default √Σx²."""
    axis = tuple(axis) if isinstance(axis, list) else axis
    return torch.linalg.norm(floating(x).to(result_dtype(x.dtype, float)), ord, axis, keepdims)


@public(1)
def qr(x: Any, mode: str = "reduced") -> Any:
    """Q with orthogonal columns and R upper triangular, x = Q·R.

    Raises:
        ValueError: the mode is neither "reduced" nor "complete".
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(explain("qr, argument 'mode'", repr(mode), "'reduced' or 'complete'"))
    return tuple(torch.linalg.qr(x, mode))


@public(2)
def solve(a: Any, b: Any) -> Any:
    """x with a·x = b."""
    _check_sides("solve", a, b)
    return torch.linalg.solve(a, b)


@public(2)
def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
    """x with a·x = b for triangular a."""
    _check_sides("solve_triangular", a, b)
    if b.ndim == a.ndim - 1:
        return torch.linalg.solve_triangular(a, b[..., None], upper=not lower)[..., 0]
    return torch.linalg.solve_triangular(a, b, upper=not lower)


@public(1)
def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """U, s, Vᵀ with x = U·diag(s)·Vᵀ; or s alone."""
    _check("svd", x, square=False)
    return tuple(torch.linalg.svd(x, full_matrices)) if compute_uv else torch.linalg.svdvals(x)


@public(2)
def lstsq(a: Any, b: Any, rcond: float | None = None) -> Any:
    """The x of least ‖x‖ among those of least ‖a·x − b‖."""
    if rcond is not None and a.device.type == "cuda":  # torch's driver there has no cut-off
        return torch.linalg.pinv(a, rtol=rcond) @ b
    return torch.linalg.lstsq(a, b, rcond, driver=None if rcond is None else "gelsd").solution


@public(1)
def matrix_rank(x: Any, tol: Any = None) -> Any:
    """How many singular values exceed ``tol``, an int32."""
    return torch.linalg.matrix_rank(x, atol=tol).to(torch.int32)


@public(1)
def pinv(x: Any, rcond: float | None = None) -> Any:
    """The Moore–Penrose inverse, singular values below rcond·greatest taken for 0."""
    return torch.linalg.pinv(x, rtol=rcond)


@public(0)
def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """A function's value at ``primals`` and its derivative in the direction ``tangents``."""
    return torch.func.jvp(fun, tuple(map(tensor, primals)), tuple(map(tensor, tangents)), has_aux=has_aux)


publish(globals(), without=("logdet", "slogdet"))  # which belong to math and numpy
