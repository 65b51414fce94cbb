"""Looking all the time: betting at every value, false discoveries over windows; texts, vectors and rows."""

import json

import numpy as np
import pytest
from loopwatch.detectors.drift.betting import Betting
from loopwatch.detectors.drift.column import Column
from loopwatch.detectors.drift.embeddings import compare_embeddings
from loopwatch.detectors.drift.forward import forward_test
from loopwatch.detectors.drift.multivariate import compare_rows
from loopwatch.detectors.drift.online import OnlineFdr
from loopwatch.detectors.drift.result import Reason
from loopwatch.detectors.drift.text import Texts, compare_texts
from loopwatch.detectors.drift.words import Text, texts_of
from loopwatch.detectors.interface import SnapshotError
from scipy import stats


def betting(reference: np.ndarray) -> Betting:
    return Betting.of_column(Column.of_numbers(reference))


def test_betting_rarely_alarms_however_long_one_looks() -> None:
    random = np.random.default_rng(1)
    alarms = 0
    for _ in range(60):
        detector = betting(random.lognormal(0, 1, 500))
        alarms += bool(detector.update(random.lognormal(0, 1, 1500).tolist()))
    assert alarms <= stats.binom.isf(0.001, 60, 0.05)


@pytest.mark.parametrize(("mean", "deviation"), [(0.5, 1.0), (-0.5, 1.0), (0.0, 1.8), (0.0, 0.5)])
def test_betting_finds_changes_that_come_late(mean: float, deviation: float) -> None:
    random = np.random.default_rng(2)
    detector = betting(random.normal(0, 1, 5000))
    assert detector.update(random.normal(0, 1, 2000).tolist()) == []
    findings = detector.update(random.normal(mean, deviation, 2000).tolist())
    assert findings
    first = findings[0]
    assert 1900 <= first.since <= first.at < 3200
    if mean:
        assert first.seen == pytest.approx(mean, abs=0.25)


def test_betting_continues_from_a_snapshot_whatever_the_batches() -> None:
    random = np.random.default_rng(3)
    values = np.append(random.normal(0, 1, 300), random.normal(1, 1, 300)).tolist()
    whole, parts = betting(np.arange(200.0) / 50 - 2), betting(np.arange(200.0) / 50 - 2)
    findings = []
    for first in range(0, 600, 7):
        findings += parts.update(values[first : first + 7])
        parts = Betting.restore(json.loads(json.dumps(parts.snapshot())))
    assert findings == whole.update(values) != []
    assert parts.snapshot()["state"] == whole.snapshot()["state"]


def test_betting_passes_over_what_is_no_number() -> None:
    detector = betting(np.arange(100.0))
    assert detector.update([float("nan"), float("inf"), 50.0]) == []
    assert detector.n == 3


def test_betting_refuses_what_it_cannot_use() -> None:
    with pytest.raises(ValueError, match="at least 30"):
        betting(np.arange(5.0))
    with pytest.raises(ValueError, match="level"):
        Betting.of_column(Column.of_numbers(np.arange(50.0)), level=2)
    snapshot = betting(np.arange(50.0)).snapshot()
    with pytest.raises(SnapshotError, match="shape"):
        Betting.restore({**snapshot, "state": {**snapshot["state"], "capital": [1.0]}})
    with pytest.raises(SnapshotError, match="adwin"):
        Betting.restore({**snapshot, "detector": "adwin"})


def test_false_discoveries_stay_few_over_time() -> None:
    random = np.random.default_rng(4)
    shares, found = [], []
    for _ in range(40):
        stream = OnlineFdr(0.05)
        is_changed = random.random(500) < 0.2
        p_values = np.where(is_changed, random.random(500) ** 12, random.random(500))
        rejected = np.array([stream.test(p) for p in p_values.tolist()])
        shares.append(np.sum(rejected & ~is_changed) / max(1, rejected.sum()))
        found.append(rejected[is_changed].mean())
    assert np.mean(shares) <= 0.05
    assert np.mean(found) > 0.4


def test_what_can_be_spent_follows_the_paper() -> None:
    stream = OnlineFdr(0.1)
    first = stream.next_level
    assert first == pytest.approx(0.079 * 0.05 * np.log(2), rel=1e-3)
    stream.test(1.0)
    assert stream.next_level < first
    stream.test(0.0)
    after_one = stream.next_level
    assert after_one > first
    with pytest.raises(ValueError, match="p-value"):
        stream.test(1.5)


def test_false_discoveries_continue_from_a_snapshot() -> None:
    one = OnlineFdr()
    for p in (0.5, 1e-9, 0.3, 1e-9):
        one.test(p)
    other = OnlineFdr.restore(json.loads(json.dumps(one.snapshot())))
    assert (other.next_level, other.snapshot()) == (one.next_level, one.snapshot())
    for damage in ({"last": None}, {"last": [10**18]}, {"last": [0]}, {"first": -1}, {"tested": -1}, {"tested": 1e300}):
        with pytest.raises(SnapshotError, match="damaged"):
            OnlineFdr.restore({**one.snapshot(), **damage})
    with pytest.raises(SnapshotError, match="saffron"):
        OnlineFdr.restore({**one.snapshot(), "procedure": "saffron"})


def texts(random: np.random.Generator, n: int, extra: float = 0.0) -> Texts:
    """Of about 20 words out of 500; words of a text belong to its subject, one of five."""
    words: dict[str, int] = {}
    subjects = random.integers(0, 5, n)
    for subject in subjects.tolist():
        chosen = {f"w{at}" for at in random.integers(subject * 100, subject * 100 + 100, 20).tolist()}
        for word in chosen | ({"refund"} if random.random() < extra else set()):
            words[word] = words.get(word, 0) + 1
    return Texts(Column.of_numbers(random.poisson(20, n) * 1.0), words)


def test_a_word_that_comes_up_is_found_and_words_that_belong_together_are_no_alarm() -> None:
    random = np.random.default_rng(5)
    alarms = 0
    for _ in range(60):
        _, vocabulary = compare_texts(texts(random, 500), texts(random, 100))
        alarms += vocabulary.drifted_alone
    assert alarms <= stats.binom.isf(0.001, 60, 0.05)
    lengths, vocabulary = compare_texts(texts(random, 500), texts(random, 200, 0.1), name="prompt")
    assert (lengths.name, lengths.drifted_alone) == ("prompt.length", False)
    assert vocabulary.drifted_alone
    assert vocabulary.evidence[0].name == "refund"


def test_texts_that_are_few_or_wrongly_counted() -> None:
    none = Texts(Column.of_numbers(np.empty(0)))
    assert [each.reason for each in compare_texts(none, none)] == [Reason.TOO_FEW] * 2
    with pytest.raises(ValueError, match="more texts"):
        compare_texts(Texts(none.lengths, {"a": 3}), none)


def test_embeddings_that_moved_in_one_direction_are_found() -> None:
    random = np.random.default_rng(6)
    false = 0
    for seed in range(40):
        one, other = random.normal(0, 1, (300, 32)), random.normal(0, 1, (150, 32))
        false += compare_embeddings(one, other, seed=seed).drifted_alone
    assert false <= stats.binom.isf(0.001, 40, 0.05)
    moved = random.normal(0, 1, (400, 32)) + np.eye(32)[0]
    found = compare_embeddings(random.normal(0, 1, (400, 32)), moved)
    assert found.drifted_alone
    assert 0 < found.effect < 1.5
    assert compare_embeddings(moved[:10], moved).reason is Reason.TOO_FEW
    with pytest.raises(ValueError, match="dimensions"):
        compare_embeddings(moved, moved[:, :3])


def test_a_correlation_that_turned_is_found_where_no_column_shows_it() -> None:
    random = np.random.default_rng(7)

    def rows(n: int, sign: float) -> dict[str, np.ndarray]:
        first = random.normal(0, 1, n)
        return {
            "a": first,
            "b": sign * 0.7 * first + 0.7 * random.normal(0, 1, n),
            "country": random.choice(["de", "fr"], n),
        }

    found = compare_rows(rows(400, 1), rows(300, -1))
    assert found.drifted_alone
    assert found.statistic > 0.7
    assert found.evidence[0].name == "a · b"
    assert (found.evidence[0].expected, found.evidence[0].seen) == (
        pytest.approx(0.7, abs=0.1), pytest.approx(-0.7, abs=0.1),
    )  # fmt: skip
    false = sum(compare_rows(rows(200, 1), rows(100, 1), seed=seed).drifted_alone for seed in range(20))
    assert false <= stats.binom.isf(0.001, 20, 0.05)


def test_rows_that_do_not_fit_are_refused() -> None:
    column = np.arange(100.0)
    assert compare_rows({"a": column[:20]}, {"a": column}).reason is Reason.TOO_FEW
    with pytest.raises(ValueError, match="same columns"):
        compare_rows({"a": column}, {"b": column})
    with pytest.raises(ValueError, match="unequal"):
        compare_rows({"a": column, "b": column[:5]}, {"a": column, "b": column})
    assert compare_rows({"a": column, "b": column % 7}, {"a": column[:40], "b": column[:40]}).reason is Reason.TOO_FEW


def test_what_a_column_shows_by_itself_does_not_show_in_rows() -> None:
    random = np.random.default_rng(8)

    def rows(n: int, *, moved: bool) -> dict[str, np.ndarray]:
        first = random.normal(0, 1, n)
        share = 0.8 if moved else 0.3
        other = first + random.normal(0, 1, n) + 3 * moved
        return {
            "a": first,
            "b": np.where(random.random(n) < share / 2, np.nan, np.exp(other)),
            "plan": np.where(random.random(n) < share, "pro", "free").astype(object),
        }

    false = sum(
        compare_rows(rows(500, moved=False), rows(400, moved=True), seed=seed).drifted_alone for seed in range(25)
    )
    assert false <= stats.binom.isf(0.001, 25, 0.05)


def test_categories_that_go_with_other_numbers_than_before_are_found() -> None:
    random = np.random.default_rng(9)

    def rows(sign: float) -> dict[str, np.ndarray]:
        first = random.normal(0, 1, 800)
        others = {f"x{at}": random.normal(0, 1, 800) for at in range(30)}
        plan = np.where(sign * first + random.normal(0, 1, 800) > 0, "pro", "free").astype(object)
        return {"a": first, "plan": plan, **others}

    found = compare_rows(rows(1), rows(-1))
    assert found.evidence[0].name == "a · plan = pro"
    assert found.p_value is not None
    # Draws alone would show no less than 0.005, too much beside a hundred other columns.
    assert found.p_value < 1e-9


def test_no_p_value_of_the_forward_test_is_too_small() -> None:
    random = np.random.default_rng(10)
    sides = np.arange(300) >= 200

    def mean(rows: np.ndarray, current: np.ndarray) -> np.ndarray:
        return rows[current].mean(0) - rows[~current].mean(0)

    found = np.array([forward_test(random.exponential(1, (300, 5)), sides, mean, random) for _ in range(400)])
    for level in (0.5, 0.1, 0.02):
        assert (found <= level).sum() <= stats.binom.isf(0.001, 400, level)
    assert forward_test(np.ones((300, 2)), sides, mean, random) == 1.0


def test_only_words_that_many_wrote_count() -> None:
    def said(text: str, n: int, writer: str = "") -> list[Text | None]:
        return [Text(text, len(text), f"{writer}{at}" if writer == "u" else writer) for at in range(n)]

    before = [*said("Refund please", 30), *said("Ödegaard", 19), None]
    after = [*said("REFUND now", 15, "u"), *said("mine", 40, "one"), *said("now", 4, "v"), *said("order66x", 50)]
    reference, current = texts_of(before, after)
    assert dict(reference.words) == {"refund": 30, "please": 30}
    # Of one who wrote forty texts nothing is kept, and "now" is of sixteen people.
    assert dict(current.words) == {"refund": 15}
    assert (reference.lengths.n, reference.lengths.missing, current.n) == (49, 1, 109)
