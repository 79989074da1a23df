"""Market data in, order requests out: the pairs and their thresholds."""
