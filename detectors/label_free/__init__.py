"""How good a classifier with two classes probably is, before its labels are known; and afterwards how far that was off.

Confidence-based performance estimation (CBPE; NannyML, and Białek et al., "Estimating Model Performance Under Covariate
Shift Without Labels", arXiv 2401.08348): if a score means a chance, then the scores say how often the classes that were
predicted are right. All modules work on counts by bin of score, never on rows: `delays` weights labels that are known
by how likely they were to be known, `isotonic` and `calibration` turn them into the chance that a bin means, `expected`
turns those chances and a window's counts into metrics, `gap` holds them against what happened.
"""
