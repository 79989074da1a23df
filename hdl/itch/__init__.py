"""Market-data messages to fields."""
