"""Alerts: what rules find becomes alerts with a life of their own, and people are told."""
