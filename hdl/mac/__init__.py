"""Media access: bytes on the wire to frames and back."""
