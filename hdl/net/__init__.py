"""Frames to the payloads the appliance uses."""
