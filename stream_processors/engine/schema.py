"""The Faust schema of batch topics: nothing is decoded on the way, so nothing can fail there."""

from typing import Any

import faust


class BatchSchema(faust.Schema):
    """Hands a `RecordBatch` through as the value. Decoding, typed, is the processor's."""

    def loads_key(self, app: Any, message: Any, **kwargs: Any) -> None:
        """Batches have no key of their own."""
        return

    def loads_value(self, app: Any, message: Any, **kwargs: Any) -> Any:
        """The batch, as the scheduler made it."""
        return message.value
