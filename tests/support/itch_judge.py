"""What `itchfeed` decodes from a message, under the names of `interfaces.decoded`."""

from __future__ import annotations

from itch.messages import messages

NAMES = {
    "order_ref": ("order_reference_number",),
    "new_order_ref": ("new_order_reference_number",),
    "shares": ("shares", "executed_shares", "cancelled_shares"),
    "price": ("price", "execution_price", "cross_price"),
    "code": ("event_code", "trading_state", "operational_halt_action", "reg_sho_action", "breached_level", "printable"),
    "market": ("market_code",),
}
TYPES = [kind.decode() for kind in messages]
SIZES = {kind.decode(): of.message_size for kind, of in messages.items()}


def decode(raw: bytes) -> dict[str, int]:
    """Members of `interfaces.decoded` that are in the message."""
    message = messages[raw[:1]](raw)
    found = {"type": raw[0], "locate": message.stock_locate, "timestamp": message.timestamp}
    for member, names in NAMES.items():
        value = next((getattr(message, name) for name in names if hasattr(message, name)), 0)
        found[member] = value[0] if isinstance(value, bytes) else value
    found["shares"] &= 0xFFFFFFFF
    found["side"] = int(getattr(message, "buy_sell_indicator", b"B") == b"S")
    return found
