"""Which book a build has."""

from hdl.book.book import Book
from hdl.book.line_rate_book import LineRateBook
from hdl.book.order_book import OrderBook
from hdl.spec.geometry import Geometry


def book_of(geometry: Geometry) -> Book:
    """The soonest one, or the one that keeps up with any line."""
    return (LineRateBook if geometry.line_rate else OrderBook)(geometry=geometry)
