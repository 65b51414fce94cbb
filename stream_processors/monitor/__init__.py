"""Online detectors over what each model does, in order: losses, series, and windows against a reference."""
