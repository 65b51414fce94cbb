"""Metrics of models, computed by ClickHouse over windows of rows."""
