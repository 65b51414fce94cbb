"""How well and how fast online detectors find what they are there to find."""
