"""What stands between a request and the transmitter: market status, the gate and the ledger."""
