"""What goes between this package, NumPy and torch: scalars and vectors in, tensors out.

Torch is imported only where a tensor is asked for; what came from it is known without.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch


def plain(value: Any) -> Any:
    """The Python scalar that a value stands for, or the value itself.

    NumPy's and torch's scalars, and arrays and tensors without axes, become bool, int and float; subclasses of str,
    int and float become what they inherit from. A float32 or float16 is taken for the shortest decimal that it is
    the nearest one to, as it would be written in JSON.

    Examples
    --------
    >>> plain(np.float32(19.99)), plain(np.int8(3)), plain(np.bool_(True)), plain([1])
    (19.99, 3, True, [1])
    """
    if is_tensor(value) and value.ndim == 0:
        value = value.detach().cpu()
        # bfloat16 has no NumPy type; all of its values are float32's.
        value = value.float().numpy()[()] if value.is_floating_point() and value.itemsize < 8 else value.item()
    elif isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (np.float32, np.float16)):
        return float(str(value))
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        value = value.item()
    for base in (str, float, int):
        if isinstance(value, base) and type(value) is not bool:
            return base(value)
    return value


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor."""
    return hasattr(value, "detach") and type(value).__module__.split(".")[0] == "torch"


def is_vector(value: Any) -> bool:
    """Whether a value is an array or a tensor rather than a record."""
    return isinstance(value, np.ndarray) or is_tensor(value)


def as_array(vector: Any) -> npt.NDArray[np.float64]:
    """An array, a list or a tensor on any device as float64."""
    if is_tensor(vector):
        vector = vector.detach().cpu().double().numpy()
    return np.asarray(vector, np.float64)


def as_tensor(
    parts: Iterable[npt.NDArray[Any] | torch.Tensor],
    dim: int,
    dtype: type[np.floating],
    device: str | torch.device | None,
) -> torch.Tensor:
    """Batches of rows as one tensor on a device, each sent there as it comes.

    A single batch that is there is not copied at all.

    Parameters
    ----------
    parts : iterable of (n, dim) array or tensor
    dim, dtype
        Of the rows, in case that there are none.
    device : str or torch.device, optional
        The CPU where it is None.
    """
    import torch

    target = torch.device("cpu" if device is None else device)
    tensors = [
        (torch.from_numpy(part) if isinstance(part, np.ndarray) else part).to(target, non_blocking=True)
        for part in parts
    ]
    if not tensors:
        tensors = [torch.from_numpy(np.zeros((0, dim), dtype)).to(target)]
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)
