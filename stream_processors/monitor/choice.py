"""Which detectors the configuration may name: they have to exist, and to take what is watched."""

from difflib import get_close_matches

from ...detectors.anomaly.baseline import Baseline
from ...detectors.anomaly.series import SeriesAnomalies
from ...detectors.change.glr import Glr
from ...detectors.change.numbers import NumberDetector
from ...detectors.interface import Detector
from ...detectors.registry import detectors
from ...schemas.errors import ConfigError
from ...schemas.monitoring import DEFAULT, NONE, Monitoring
from ...schemas.outcomes import LoopwatchConfig

_TAKES: dict[str, tuple[tuple[type[Detector], ...], str]] = {
    "losses": ((NumberDetector,), Glr.name),
    "series": ((Baseline, SeriesAnomalies), Baseline.name),
}


def of_losses(monitoring: Monitoring) -> str:
    """Name of the detector of losses."""
    return _TAKES["losses"][1] if monitoring.losses == DEFAULT else monitoring.losses


def of_series(monitoring: Monitoring) -> str:
    """Name of the detector of series."""
    return _TAKES["series"][1] if monitoring.series == DEFAULT else monitoring.series


def check_detectors(config: LoopwatchConfig) -> None:
    """
    Raises:
        ConfigError: with all names of detectors that there are not, or that take something else.
    """
    named = {f"models.{name}": model.monitoring for name, model in config.models.items()}
    problems: list[tuple[str, str]] = []
    for path, monitoring in {"defaults": config.defaults.monitoring, **named}.items():
        for what, (kinds, _) in _TAKES.items():
            name = getattr(monitoring, what)
            allowed = [DEFAULT, NONE, *(each for each, found in detectors().items() if issubclass(found, kinds))]
            if name not in allowed:
                close = get_close_matches(name, allowed, 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                said = f"{name!r} is no detector of {what}{hint} (allowed: {', '.join(allowed)})"
                problems.append((f"{path}.monitoring.{what}", said))
    if problems:
        (path, message), *others = problems
        raise ConfigError(path, message, others)
