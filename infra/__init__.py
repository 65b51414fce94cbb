"""Addresses, topics, tables, and the services that run beside Loopwatch."""
