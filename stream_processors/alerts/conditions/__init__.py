"""What holds: a condition of a rule, asked of ClickHouse, becomes findings. One kind of condition a file."""
