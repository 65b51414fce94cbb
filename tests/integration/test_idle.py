"""A live stream that falls silent: its last windows close by the wall clock, and whoever reads the ledger is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from loopwatch.infra.embedded_kafka import EmbeddedKafka
from loopwatch.infra.ledger import read_ledger
from loopwatch.producers import Loopwatch
from loopwatch.schemas.config import load_config
from loopwatch.schemas.outcomes import Kind
from loopwatch.stream_processors.monitor.losses import Cursor, new_losses
from loopwatch.stream_processors.monitor.reached import reached

from .test_any_way import loop_of

N = 20
CONFIG = """
models:
  shop:
    kind: classification
    outcomes:
      bought: {actions: [purchase], window: 4s, on_timeout: negative, label: positive}
defaults: {disorder: 1s}
"""


@pytest.mark.timeout(180)
def test_after_a_restart_without_new_input_the_last_losses_become_known(
    embedded_kafka: EmbeddedKafka, clickhouse_url: str, tmp_path: Path
) -> None:
    with loop_of(embedded_kafka, clickhouse_url, tmp_path, 2) as loop:
        file = tmp_path / "loopwatch.yaml"
        file.write_text(CONFIG, encoding="utf-8")
        config = load_config(file)
        loop.start(0)
        with Loopwatch(loop.settings) as client:
            for n in range(N):
                client.predict("shop", True, prediction_id=f"p{n}", ts=datetime.now(UTC))
        last = datetime.now(UTC)
        loop.wait(lambda: loop.n_received == N)
        loop.kill(0)
        loop.start(0)
        loop.wait(lambda: loop.count("feedback_current WHERE status = 'expired'") == N)
        over = last + timedelta(seconds=4)
        loop.wait(lambda: reached(loop.clickhouse).everywhere_us >= over.timestamp() * 1e6)
        (outcome,) = config.for_model("shop").outcomes
        losses, _ = new_losses(
            loop.clickhouse, "shop", outcome, Kind.CLASSIFICATION, (), Cursor(), reached(loop.clickhouse)
        )
        assert sorted(loss.prediction_id for loss in losses) == sorted(f"p{n}" for n in range(N))
        report = read_ledger(loop.clickhouse, config)
        assert report.balanced, report.imbalances
