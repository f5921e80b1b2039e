"""Progress of long work: on a terminal or in a notebook, and silent elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int], object]


@contextmanager
def reporter(
    progress: Progress | bool | None, *, unit: str = "record", total: int | None = None, what: str | None = None
) -> Iterator[Progress]:
    """A function to call with the amount done so far.

    Parameters
    ----------
    progress : callable, bool or None
        A callable is used as it is. True shows a bar, False nothing, None a bar where somebody can see it.
    what : str, optional
        Stands before the bar.
    """
    if callable(progress):
        yield progress
        return
    shown = _visible() if progress is None else progress
    if not shown:
        yield lambda done: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=what, unit=unit, unit_scale=True, smoothing=0.1) as bar:
        yield lambda done: bar.update(done - bar.n)


def _visible() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules
