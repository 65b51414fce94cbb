"""How well and how fast detectors find what they are there to find."""
