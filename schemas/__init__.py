"""The wire format and the vocabulary that every other package shares. Imports nothing of ours."""
