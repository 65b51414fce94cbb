"""Data and prediction drift against a reference: pure functions of counts, or of sampled rows."""
