def ledger() -> None:
    """x"""
