"""The reference detector's arithmetic in an order that takes less time and memory."""
