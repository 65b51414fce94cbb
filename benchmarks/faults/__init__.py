"""Fault runs on real services: rows lost / rows doubled must be 0 / 0 and the ledger must balance (``make faults``)."""
