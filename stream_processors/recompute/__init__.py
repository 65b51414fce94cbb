"""Feedback of stored predictions, derived again under the rules of today by the code of the join."""
