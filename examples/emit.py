"""A service's side of the loop: one prediction, and what a user did about it.

Kafka is found by LOOPWATCH_KAFKA_BOOTSTRAP (127.0.0.1:9092 by default); `loopwatch dev` starts one there.
"""

from loopwatch.producers import Action, DeliveryError, Loopwatch, Prediction


def lost(event: Prediction | Action, error: DeliveryError) -> None:
    print(f"not delivered: {event.prediction_id}: {error}")


with Loopwatch(on_error=lost) as loopwatch:
    prediction_id = loopwatch.predict(
        "ctr-ranker",
        True,
        score=0.83,
        version="2024-07-15",
        entity_id="user-4711",
        features={"hour": 9, "country": "de", "returning": True},
        segments={"country": "de"},
    )
    loopwatch.act(prediction_id, "click", attributes={"position": 1})
    loopwatch.flush()
    print(f"sent prediction {prediction_id} and a click on it: {loopwatch.delivered} records confirmed")
