"""Pairs of old and new vectors from a gallery and the new model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoding import Encoder, unit_rows
from retrieval.errors import InvalidVectorError
from retrieval.progress import Progress, reporter

if TYPE_CHECKING:
    from retrieval.gallery import Gallery
    from retrieval.surveys import Sample


def encoded_sample(
    gallery: Gallery,
    encode_new: Callable[[list[Any]], Any] | Encoder,
    *,
    sample: int,
    batch_size: int,
    seed: int,
    progress: Progress | bool | None,
) -> tuple[Sample, Any]:
    """Draw items and encode them; see `Upgrade.from_gallery`.

    Returns
    -------
    Sample
        With the vectors that the gallery has.
    (n, dim) float32
        Those of the new model.
    """
    drawn = gallery.sample(sample, seed=seed)
    if not drawn.ids:
        raise ValueError(f"{gallery.path}: the gallery is empty; there is nothing to fit an upgrade on")
    encode = encode_new.encode if isinstance(encode_new, Encoder) else encode_new
    parts: list[NDArray[np.float32]] = []
    with reporter(progress, unit="item", total=len(drawn.ids)) as report:
        for start in range(0, len(drawn.ids), batch_size):
            part = drawn.payloads[start : start + batch_size]
            X = np.asarray(encode(part))
            rows = unit_rows(X, X.shape[-1] if X.ndim == 2 else 0)
            if len(rows) != len(part) or (parts and rows.shape[1] != parts[0].shape[1]):
                raise InvalidVectorError(f"the encoder made an array of shape {X.shape} of {len(part)} records")
            parts.append(rows)
            report(start + len(part))
    return drawn, np.concatenate(parts)
