"""Webhooks: what is sent, to whom it may be sent, and sending it until it is there."""
