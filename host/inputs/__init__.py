"""Market data files: ITCH records and packet captures, plain or compressed, read as a stream."""
