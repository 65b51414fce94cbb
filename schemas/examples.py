"""One example of each event, for the generated schemas, the documentation, and tests."""

from datetime import UTC, datetime

from .alerts import Alert, AlertState, Change, Details
from .dead_letters import DeadLetter
from .errors import RejectReason
from .events import Action, Generation, Prediction, Retrieved
from .feedback import Feedback, FeedbackStatus
from .signals import Shift, Signal, SignalKind

PREDICTION = Prediction(
    prediction_id="0190b5f0-6a3c-7c4e-9a51-3d1f0c8e2b77",
    model="ctr-ranker",
    ts=datetime(2024, 7, 15, 12, 34, 56, 123456, tzinfo=UTC),
    version="2024-07-01",
    entity_id="user-48151",
    prediction=True,
    score=0.734,
    features={"age": 34, "ctr_7d": 0.0345, "country": "DE", "returning": True, "distance_km": None},
    segments={"country": "DE"},
    variants={"new-ranker": "treatment"},
    latency_ms=3.4,
    attributes={"request_id": "search-77120", "position": 1},
)

GENERATION = Prediction(
    prediction_id="0190b5f0-6a3c-7c4e-9a51-3d1f0c8e2b78",
    model="support-assistant",
    ts=datetime(2024, 7, 15, 12, 35, 2, tzinfo=UTC),
    cost_usd=0.0031,
    generation=Generation(
        provider="vllm",
        prompt="How do I return an order?",
        response="Open the order, then choose Return.",
        input_tokens=412,
        output_tokens=9,
        finish_reason="stop",
        retrieved=[Retrieved("help/returns", 0.91)],
        embedding=[0.12, -0.03, 0.4],
    ),
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
)

ACTION = Action(
    action_id="0190b5f1-02aa-7b1d-8c55-5a9e7f1d3c10",
    prediction_id=PREDICTION.prediction_id,
    name="purchase",
    ts=datetime(2024, 7, 15, 12, 41, 3, tzinfo=UTC),
    value=12.5,
    attributes={"currency": "EUR"},
)

FEEDBACK = Feedback(
    model="ctr-ranker",
    outcome="revenue",
    prediction_id=PREDICTION.prediction_id,
    status=FeedbackStatus.MATCHED,
    prediction_ts=PREDICTION.ts,
    label="12.5",
    label_value=12.5,
    action_id=ACTION.action_id,
    action_ts=ACTION.ts,
    delay_ms=366_876.544,
    prediction=True,
    score=0.734,
    version="2024-07-01",
    segments={"country": "DE"},
    variants={"new-ranker": "treatment"},
    revision=0,
)

SIGNAL = Signal(
    signal_id="6f1ed002ab5595859014ebf0951522d9",
    model="ctr-ranker",
    kind=SignalKind.DATA_DRIFT,
    subject="basket_value",
    detector="wasserstein",
    since=datetime(2024, 7, 15, 12, tzinfo=UTC),
    found_at=datetime(2024, 7, 15, 13, tzinfo=UTC),
    until=datetime(2024, 7, 15, 13, tzinfo=UTC),
    score=0.41,
    message="basket_value of ctr-ranker drifted: 31.2 on average, 18.4 before, since 2024-07-15 12:00",
    expected=18.4,
    seen=31.2,
    n=4120,
    evidence=(Shift("[64, 128)", 0.02, 0.11),),
    examples=(PREDICTION.prediction_id,),
    query="SELECT hour, mean FROM loopwatch.panes_hourly WHERE model = 'ctr-ranker' AND feature = 'basket_value'",
)

ALERT = Alert(
    fingerprint="5b8b0c0d6f2f4f6a9a3f3a5a9d0f2c11",
    rule="DataDrift",
    state=AlertState.FIRING,
    change=Change.FOUND,
    labels={
        "alertname": "DataDrift", "severity": "info", "category": "drift", "model": "ctr-ranker",
        "subject": "basket_value",
    },
    annotations={"summary": "basket_value of ctr-ranker drifted"},
    details=Details(
        SIGNAL.message, value=31.2, expected=18.4, n=4120, since=SIGNAL.since, until=SIGNAL.until,
        examples=SIGNAL.examples, command="loopwatch drift ctr-ranker --feature basket_value",
        signal_id=SIGNAL.signal_id,
    ),
    active_at=datetime(2024, 7, 15, 13, 0, 7, tzinfo=UTC),
    fired_at=datetime(2024, 7, 15, 13, 0, 7, tzinfo=UTC),
    updated_at=datetime(2024, 7, 15, 13, 0, 7, tzinfo=UTC),
)  # fmt: skip

DEAD_LETTER = DeadLetter.of(
    "loopwatch.predictions",
    3,
    1045,
    RejectReason.SCHEMA,
    "Expected `float` <= 1.0 - at `$.score`",
    b"0190b5f0-6a3c-7c4e-9a51-3d1f0c8e2b79",
    b'{"prediction_id":"0190b5f0-6a3c-7c4e-9a51-3d1f0c8e2b79","model":"ctr-ranker","ts":"2024-07-15T12:34:57Z","score":73.4}',
    datetime(2024, 7, 15, 12, 34, 58, tzinfo=UTC),
)
