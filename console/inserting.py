"""How a command writes into tables: as a worker does, and of no partition."""

import threading
import uuid

from ..infra.clickhouse import ClickHouse
from ..infra.settings import Settings
from ..stream_processors.sink.fence import Fence
from ..stream_processors.sink.inserts import Inserter


def inserter_of(settings: Settings, clickhouse: ClickHouse) -> Inserter:
    """One for the life of a command."""
    fence = Fence(clickhouse, "", f"command:{uuid.uuid4().hex}")
    return Inserter(clickhouse, fence, give_up_after_s=settings.stuck_after_s, stop=threading.Event())
