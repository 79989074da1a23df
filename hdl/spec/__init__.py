"""Definitions as data: layouts, registers, records, reasons and sizes. Nothing here imports anything but Python."""
