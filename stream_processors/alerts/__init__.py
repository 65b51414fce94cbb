"""Alerting: rules find, a life cycle decides, groups are told; one process at a time."""
