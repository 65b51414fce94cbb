"""Alerting under fire: `make faults-alerts`."""
