"""How long from the event that crosses a threshold until the webhook is received, while 5,000 events come a second.

Each probe is a model of its own: one prediction, and an action on it, whose moment of sending counts. Two rules look
at them, both with `for: 0s`: one on a business indicator of table `metrics`, one in SQL on the rows themselves.
"""

import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from loopwatch.infra.settings import Settings
from msgspec import Struct

from ..dev_stack import dev_stack
from ..events import new_producer
from ..steady_sender import SteadySender
from .recorder import Heard, Recorder, new_secret
from .stages import Stage, stages

_SETTLE_S = 60.0
_BY_METRIC = "ByMetric"
_RULES = (_BY_METRIC, "ByQuery")
_CONFIG = """
models:
{models}
alerting:
  rules:
    ByMetric:
      {{metric: kpi.faults, models: [{names}], window: 1m, above: 0.5, min_n: 1, min_completeness: 0, surely: false}}
    ByQuery:
      sql: >-
        SELECT p.model AS model, toFloat64(count()) AS value FROM {database}.actions AS a
        INNER JOIN {database}.predictions AS p ON a.prediction_id = p.prediction_id
        WHERE a.name = 'fault' AND a._ingested_at > now() - INTERVAL 5 MINUTE
        AND p._ingested_at > now() - INTERVAL 5 MINUTE AND startsWith(p.model, 'probe-') GROUP BY model
      above: 0.5
  receivers:
    recorder: {{url: "{url}", secret_env: PROBE_SECRET, networks: [127.0.0.0/8], per_minute: 100000}}
  route: {{receiver: recorder, group_by: [alertname, model], group_wait: {group_wait}}}
"""


class Alarm(Struct, frozen=True):
    """Seconds from the action to the webhook, of one rule."""

    rule: str
    group_wait: str
    probes: int
    missed: int
    p50_s: float
    p99_s: float
    max_s: float
    stages: list[Stage] = []
    """Where that goes, of a rule on metrics."""


def run(rate: int, seconds: float, probes: int, group_wait: str) -> list[Alarm]:
    """Send `rate` events a second for so long, with `probes` among them, evenly."""
    names = [f"probe-{number}" for number in range(probes)]
    secret = new_secret()
    os.environ["PROBE_SECRET"] = secret
    with Recorder(secret) as recorder, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        config = Path(directory, "loopwatch.yaml")
        models = "\n".join(f"  {name}: {{windows: [1m], kpis: {{faults: {{sum: fault}}}}}}" for name in names)
        config.write_text(
            _CONFIG.format(
                models=models, names=", ".join(names), database=Settings().clickhouse_database, url=recorder.url,
                group_wait=group_wait,
            ),
            encoding="utf-8",
        )  # fmt: skip
        with dev_stack(config) as stack:
            sent = _send(stack.settings, rate, seconds, names)
            heard = _wait(recorder, names)
            of_metric = {name: each for (rule, name), each in heard.items() if rule == _BY_METRIC}
            spent = {_BY_METRIC: stages(stack.settings, _BY_METRIC, sent, of_metric)}
    return [_alarm(rule, group_wait, sent, heard, spent.get(rule, [])) for rule in _RULES]


def _send(settings: Settings, rate: int, seconds: float, names: list[str]) -> dict[str, float]:
    """Returns when the action of each model was sent, seconds since 1970."""
    sender = SteadySender(settings, rate, seconds)
    producer = new_producer(settings.kafka_bootstrap)
    topics = settings.topics
    sender.start()
    sent: dict[str, float] = {}
    # The first tenth is left out: metrics, detectors and panes of a new model begin.
    began = time.monotonic() + seconds / 10
    for number, name in enumerate(names):
        while time.monotonic() < began + number * seconds * 0.8 / len(names):
            producer.poll(0.01)
        now = datetime.now(UTC)
        prediction = {"prediction_id": name, "model": name, "ts": now.isoformat(), "prediction": 1.0}
        action = {"action_id": name, "prediction_id": name, "name": "fault", "ts": now.isoformat(), "value": 1}
        producer.produce(topics.predictions, msgspec.json.encode(prediction), name)
        producer.produce(topics.actions, msgspec.json.encode(action), name)
        producer.flush(10)
        sent[name] = now.timestamp()
    sender.join()
    if sender.failures:
        raise RuntimeError(f"{sender.failures} events were not delivered")
    return sent


def _wait(recorder: Recorder, names: list[str]) -> dict[tuple[str, str], Heard]:
    """What each rule's first webhook for each model said."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        first: dict[tuple[str, str], Heard] = {}
        for each in recorder.heard:
            if each.status == "firing":
                first.setdefault((each.labels["alertname"], each.labels.get("model", "")), each)
        if all((rule, name) in first for rule in _RULES for name in names) or time.monotonic() > deadline:
            return first
        time.sleep(0.5)


def _alarm(
    rule: str, group_wait: str, sent: dict[str, float], heard: dict[tuple[str, str], Heard], spent: list[Stage]
) -> Alarm:
    found = [heard[rule, name].at - at for name, at in sent.items() if (rule, name) in heard]
    p50, p99, most = (float(np.quantile(found, q)) if found else float("nan") for q in (0.5, 0.99, 1.0))
    return Alarm(rule, group_wait, len(sent), len(sent) - len(found), p50, p99, most, spent)
