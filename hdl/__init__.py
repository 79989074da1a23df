"""The gateware: one folder a stage in the order in which data flows, definitions as data below all of them."""
