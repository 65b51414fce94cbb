"""What share of a window's predictions will be labelled in the end, from how long labels took before.

Labels come with delays up to the outcome's attribution window, so a window of time that is still young shows only a
part of them. The delays of earlier predictions, each censored at its age, say what is still to come: a life table
(Kaplan & Meier, JASA 1958), within strata of whatever the predictions carry that tells labels from no labels best.

`covariates` cuts what predictions carry into strata, `delay_bins` cuts time, `history` holds a sample of earlier
predictions, `choice` picks the covariates on it, `life_table` turns it into hazards, `final_share` applies them.
"""
