"""All metrics of a wide model, beside Evidently's presets over the same rows."""
