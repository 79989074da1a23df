"""Orders to the exchange and its reports: OUCH 5.0 over SoupBinTCP over TCP."""
