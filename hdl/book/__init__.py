"""Order by order book: order table, price ladder, best bid and offer, integrity."""
