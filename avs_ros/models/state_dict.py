"""Weights into a module, all or nothing: what does not fit is named with both shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from avs_ros.errors import CheckpointError

_LISTED = 8


def load_state_dict_strictly(
    module: nn.Module,
    state_dict: Mapping[str, Tensor],
    source: str,
    ignore: Iterable[str] = (),
) -> None:
    """Copy ``state_dict`` into ``module``; nothing is copied unless everything fits.

    ``source`` (a path or a name) opens the error message.  ``ignore`` names keys of
    ``state_dict`` that are known and not wanted (fixed tables that the module computes itself).
    BatchNorm counters (``num_batches_tracked``) may be absent: old files lack them and they
    change nothing in evaluation.

    Raises:
        CheckpointError: a tensor is missing, has another shape, is not a tensor, or is not
            part of the network; the first few are listed with expected and found shape.
    """
    expected = module.state_dict()
    ignored = set(ignore)
    problems: list[str] = []
    for name, own in expected.items():
        found = state_dict.get(name)
        if found is None:
            if not name.endswith("num_batches_tracked"):
                problems.append(f"{name}: expected {_shape(own)}, missing")
        elif not isinstance(found, Tensor):
            problems.append(f"{name}: expected {_shape(own)}, found {type(found).__name__}")
        elif found.shape != own.shape:
            problems.append(f"{name}: expected {_shape(own)}, found {_shape(found)}")
    for name, extra in state_dict.items():
        if name not in expected and name not in ignored:
            found_text = _shape(extra) if isinstance(extra, Tensor) else type(extra).__name__
            problems.append(f"{name}: not part of the network, found {found_text}")
    if problems:
        listed = "; ".join(problems[:_LISTED])
        more = len(problems) - _LISTED
        tail = f"; and {more} more" if more > 0 else ""
        raise CheckpointError(
            f"{source} does not fit {type(module).__name__} "
            f"({len(problems)} of {len(expected)} tensors differ): {listed}{tail}"
        )
    module.load_state_dict({k: v for k, v in state_dict.items() if k in expected}, strict=False)


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))
