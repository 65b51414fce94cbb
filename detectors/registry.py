"""Every detector of this package by its name; another package of detectors is found without being listed anywhere."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

from .interface import Detector, SnapshotError


@cache
def detectors() -> Mapping[str, type[Detector[Any]]]:
    """All classes of detectors that can be made, by name. Imports the whole package the first time.

    Raises:
        TypeError: two have the same name, or one has none.
    """
    package = importlib.import_module(__package__ or "")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    found: dict[str, type[Detector[Any]]] = {}
    for each in _concrete(Detector):
        if not isinstance(getattr(each, "name", None), str):
            raise TypeError(f"{each.__module__}.{each.__qualname__} has no name")
        if each.__module__.startswith(f"{package.__name__}.") and found.setdefault(each.name, each) is not each:
            raise TypeError(f"{found[each.name].__module__} and {each.__module__} both name a detector {each.name!r}")
    return dict(sorted(found.items()))


def detector(name: str, **parameters: Any) -> Detector[Any]:
    """A new detector.

    >>> detector("stepd", window_size=50).name
    'stepd'

    Raises:
        ValueError: there is none of that name, or it takes no such parameter, or not with that value.
    """
    kind = _named(name)
    allowed = list(inspect.signature(kind).parameters)
    unknown = [each for each in parameters if each not in allowed]
    if unknown:
        raise ValueError(f"{name!r} has no parameter {unknown[0]!r}: it takes {', '.join(allowed) or 'none'}")
    try:
        return kind(**parameters)
    except (TypeError, ValueError) as exc:
        raise ValueError(f"{name!r} with {parameters}: {exc}") from exc


def restore(snapshot: Mapping[str, Any]) -> Detector[Any]:
    """The detector that a snapshot was taken of.

    Raises:
        SnapshotError: no detector can read it.
    """
    name = snapshot.get("detector") if isinstance(snapshot, Mapping) else None
    if not isinstance(name, str) or name not in detectors():
        raise SnapshotError(f"a snapshot of {name!r}: known are {', '.join(detectors())}")
    return detectors()[name].restore(snapshot)


def _named(name: str) -> type[Detector[Any]]:
    if name not in detectors():
        raise ValueError(f"no detector {name!r}: there are {', '.join(detectors())}")
    return detectors()[name]


def _concrete(kind: type[Detector[Any]]) -> list[type[Detector[Any]]]:
    below = [found for each in kind.__subclasses__() for found in _concrete(each)]
    return below if inspect.isabstract(kind) else [kind, *below]
