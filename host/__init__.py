"""The host: feeds the card, loads it, reads what it says and shows it."""
