"""Market-data framing: packets to numbered messages."""
