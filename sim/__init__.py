"""The simulated world: the Verilated card, its wires, a market and a venue."""
