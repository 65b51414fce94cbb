"""A slice of `make faults-alerts`: what it measures holds in small as well."""

import pytest

from benchmarks.alerts import deliveries, ssrf, storm


def test_nothing_gets_lost_doubled_or_out_of_order_between_failures() -> None:
    done = deliveries.run(300)
    assert (done.lost, done.doubled, done.out_of_order, done.dead, done.accepted_wrongly) == (0, 0, 0, 0, 0)
    assert done.requests > 500
    assert done.tried_wrongly == 8000


def test_no_address_leads_inside() -> None:
    done = ssrf.run()
    assert (done.connections, done.taken, done.refused) == (0, 0, done.forms + done.names)
    assert done.forms >= 60


@pytest.mark.timeout(280)
def test_no_alert_is_stuck_or_forgotten_when_its_process_is_killed() -> None:
    done = storm.run(3)
    assert (done.stuck, done.missed) == (0, 0)
    assert done.told_firing > 50
