"""What the host sees of the card: registers, counters and event records."""
