"""Boards: the appliance behind the pins of real hardware."""
