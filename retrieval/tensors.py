"""Queries that lie on a GPU as tensors of torch, on their way to a search there."""

from __future__ import annotations

from typing import Any

from retrieval import gpu

# As `retrieval.encoding.unit_rows` has it: rows that have length one to this are left as they are.
_LENGTH = 1e-6


def on_device(query: Any) -> Any:
    """A tensor on a GPU as float32 rows of length one on the same GPU, contiguous; None for any other query.

    The rows are what `retrieval.encoding.queries` makes of them on the host, to the rounding of float32.

    Parameters
    ----------
    query : torch.Tensor, shape (dim,) or (n_queries, dim)
        Any real dtype; known to be finite and not zero.
    """
    if gpu.device_of(query) is None:
        return None
    torch = gpu.torch()
    rows = query.detach()
    wide = (rows if rows.ndim == 2 else rows[None, :]).double()
    lengths = torch.linalg.vector_norm(wide, dim=1, keepdim=True)
    off = (lengths - 1.0).abs() > _LENGTH
    return torch.where(off, wide / lengths, wide).float().contiguous()
