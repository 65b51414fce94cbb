"""Estimates of a classifier's metrics before its labels are known, held against what came out."""
