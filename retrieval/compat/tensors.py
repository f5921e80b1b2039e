"""Maps on tensors of torch: the same formulas, on the device where the tensor lies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from retrieval.compat.pairs import Float32, Float64, check_model, checked_vectors

# Scores of one block with all pairs: 2**24 float32 numbers are 64 MB.
_BLOCK_SCORES = 1 << 24


class Tables(NamedTuple):
    """A local-linear map's arrays on one device."""

    anchors: Tensor
    residuals: Tensor
    weights: Tensor
    offset: Tensor

    @classmethod
    def of(cls, device: torch.device, anchors: Float32, residuals: Float32, affine: tuple[Float32, Float32]) -> Tables:
        """Copy them there."""
        return cls(*(torch.from_numpy(array).to(device) for array in (anchors, residuals, *affine)))


class Kernel(NamedTuple):
    """The numbers of a local-linear map's correction; see `LocalLinearMap`."""

    temperature: float
    n_neighbours: int
    floor: float
    width: float


def checked_tensor(X: Tensor, dim: int, given: str | None, model: str) -> Tensor:
    """Return `X` without its graph; float64 stays, all else becomes float32. Raises as `checked_vectors`."""
    check_model(given, model)
    if not isinstance(X, Tensor):
        raise TypeError(f"X must be a tensor of torch, not {type(X).__name__}; `transform` takes arrays")
    rows = X.detach()
    rows = rows if rows.dtype == torch.float64 else rows.float()
    longest = rows.abs().amax(dim=1) if rows.ndim == 2 and rows.numel() else rows.new_zeros(0)
    if rows.ndim != 2 or rows.shape[1] != dim or not bool((longest.isfinite() & (longest > 0)).all()):
        # NumPy's way says what is wrong, and where.
        checked_vectors(rows.cpu().numpy(), dim, "vectors", model=model)
    return rows


def rotate(rows: Tensor, matrix: Float64) -> Tensor:
    """rows @ matrix in float64, rounded once."""
    return (rows.double() @ torch.from_numpy(np.ascontiguousarray(matrix)).to(rows.device)).to(rows.dtype)


def map_rows(rows: Tensor, tables: Tables, kernel: Kernel) -> Tensor:
    """Map checked rows, block by block: (n, d_target) float32 unit rows."""
    out = torch.empty(len(rows), tables.residuals.shape[1], device=rows.device)
    step = max(1, _BLOCK_SCORES // len(tables.anchors))
    for start in range(0, len(rows), step):
        X = _unit(rows[start : start + step]).float()
        mapped = _correction(X @ tables.anchors.T, tables.residuals, kernel)
        mapped += X @ tables.weights
        mapped += tables.offset
        out[start : start + step] = _unit(mapped)
    return out


def _correction(scores: Tensor, residuals: Tensor, kernel: Kernel) -> Tensor:
    top, near = scores.topk(kernel.n_neighbours, dim=1)
    levels = kernel.temperature * torch.logsumexp(top.double() / kernel.temperature, dim=1)
    share = torch.sigmoid((levels - kernel.floor) / kernel.temperature).float()[:, None]
    if kernel.width:
        return share * (((scores - 1) / kernel.width).exp() @ residuals)
    weights = torch.softmax(top / kernel.temperature, dim=1)
    return share * torch.nn.functional.embedding_bag(near, residuals, per_sample_weights=weights, mode="sum")


def _unit(rows: Tensor) -> Tensor:
    """Scale rows to unit length; a row of length zero stays zero."""
    longest = rows.abs().amax(dim=1, keepdim=True)
    scaled = rows / torch.where(longest > 0, longest, 1)
    lengths = scaled.norm(dim=1, keepdim=True)
    return scaled / torch.where(lengths > 0, lengths, 1)
