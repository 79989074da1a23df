"""Trading in compiled Python, clock for clock as the gateware has it; `sim.twin.trading` is the way in."""
