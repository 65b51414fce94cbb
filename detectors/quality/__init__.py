"""How good a model is, from what is known of its outcomes: metrics with intervals, out of sums and counts alone.

Each module takes the sufficient statistics of a window (counts, sums, a confusion matrix), so a window costs what its
statistics cost and not its rows. Values equal scikit-learn's on the same rows.
"""
