"""Detectors held against their claims and their peers: false alarms, power, delay, speed."""
