"""Metrics of a worker, declared once: Prometheus names, what they count, and the small server that shows them."""

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ROWS = (1, 10, 100, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000)

EVENTS = Counter(
    "loopwatch_events", "Events by topic and class: what the ledger counts", ["topic", "event_class"], registry=REGISTRY
)
LAG = Gauge(
    "loopwatch_lag_records", "Records of a partition that are in Kafka and not yet stored", ["topic", "partition"],
    registry=REGISTRY,
)  # fmt: skip
WATERMARK = Gauge(
    "loopwatch_watermark_seconds", "Event-time watermark of a partition, seconds since 1970", ["partition"],
    registry=REGISTRY,
)  # fmt: skip
COMMIT_AGE = Gauge(
    "loopwatch_commit_age_seconds", "Seconds since a partition that is behind got further", ["topic", "partition"],
    registry=REGISTRY,
)  # fmt: skip
BATCH_RECORDS = Histogram(
    "loopwatch_batch_records", "Records in a fetched batch", ["topic"], buckets=_ROWS, registry=REGISTRY
)
FLUSH_SECONDS = Histogram(
    "loopwatch_flush_seconds", "From the beginning of a flush until its ledger row is stored", buckets=_SECONDS,
    registry=REGISTRY,
)  # fmt: skip
INSERT_SECONDS = Histogram(
    "loopwatch_insert_seconds", "One insert into ClickHouse, its retries included", ["table"], buckets=_SECONDS,
    registry=REGISTRY,
)  # fmt: skip
INSERT_ROWS = Counter("loopwatch_insert_rows", "Rows inserted into ClickHouse", ["table"], registry=REGISTRY)
INSERT_RETRIES = Counter("loopwatch_insert_retries", "Inserts tried again", ["table"], registry=REGISTRY)
LOOKUPS = Counter("loopwatch_lookup_ids", "Prediction ids looked up in ClickHouse", registry=REGISTRY)
LOOKUP_SECONDS = Histogram("loopwatch_lookup_seconds", "One batch of cold lookups", buckets=_SECONDS, registry=REGISTRY)
HOT_BYTES = Gauge("loopwatch_hot_state_bytes", "Memory of predictions in hot state", ["partition"], registry=REGISTRY)
HOT_PREDICTIONS = Gauge("loopwatch_hot_predictions", "Predictions in hot state", ["partition"], registry=REGISTRY)
HELD_ACTIONS = Gauge(
    "loopwatch_held_actions", "Actions that wait for their prediction", ["partition"], registry=REGISTRY
)
KNOWN_BYTES = Gauge("loopwatch_known_ids_bytes", "Memory of the filter of known ids", ["partition"], registry=REGISTRY)
EVALUATION_SECONDS = Histogram(
    "loopwatch_evaluation_seconds", "One look for windows that changed, and the evaluation of those", buckets=_SECONDS,
    registry=REGISTRY,
)  # fmt: skip
EVALUATED_WINDOWS = Counter("loopwatch_evaluated_windows", "Windows evaluated", registry=REGISTRY)
EVALUATION_ERRORS = Counter(
    "loopwatch_evaluation_errors", "Evaluations that failed; their windows stay due", registry=REGISTRY
)
MONITOR_SECONDS = Histogram(
    "loopwatch_monitor_seconds", "One turn of the detectors over what came", buckets=_SECONDS, registry=REGISTRY
)
MONITOR_ERRORS = Counter(
    "loopwatch_monitor_errors", "Models whose detectors failed; they go on from what is stored", registry=REGISTRY
)
SIGNALS = Counter("loopwatch_signals", "Signals that came out, or again", ["kind"], registry=REGISTRY)
ALERTING = Gauge("loopwatch_alerting", "1 in the one process that alerts, 0 in those that stand by", registry=REGISTRY)
ALERTING_SECONDS = Histogram(
    "loopwatch_alerting_seconds", "One turn of alerting: rules, life cycle, groups", buckets=_SECONDS, registry=REGISTRY
)
ALERTING_ERRORS = Counter(
    "loopwatch_alerting_errors", "Turns of alerting that failed, and rules that can't be evaluated", registry=REGISTRY
)
ALERT_CHANGES = Counter("loopwatch_alert_changes", "Revisions of alerts by what changed", ["change"], registry=REGISTRY)
DELIVERIES = Counter("loopwatch_deliveries", "Tries to deliver by how they went", ["result"], registry=REGISTRY)
PENDING_WINDOWS = Gauge("loopwatch_pending_windows", "Windows that changed and wait for evaluation", registry=REGISTRY)

_BY_PARTITION = (LAG, COMMIT_AGE)
_BY_PARTITION_ONLY = (WATERMARK, HOT_BYTES, HOT_PREDICTIONS, HELD_ACTIONS, KNOWN_BYTES)


def forget_partitions() -> None:
    """The worker has no partitions any more: their gauges would show the past."""
    for gauge in (*_BY_PARTITION, *_BY_PARTITION_ONLY):
        gauge.clear()


class MetricsServer:
    """Serves ``/metrics`` (Prometheus) and ``/health`` (200 or 503 with a reason) on a thread of its own."""

    def __init__(self, host: str, port: int, unhealthy: Callable[[], str | None]) -> None:
        def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            if environ["PATH_INFO"] == "/metrics":
                start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
                return [generate_latest(REGISTRY)]
            if environ["PATH_INFO"] == "/health":
                reason = unhealthy()
                start_response("503 Service Unavailable" if reason else "200 OK", [("Content-Type", "text/plain")])
                return [(reason or "ok").encode() + b"\n"]
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"here are /metrics and /health\n"]

        self._server = make_server(host, port, answer, server_class=_Server, handler_class=_QuietHandler)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is the base class's)
        """Requests of a scraper every few seconds are no news."""
