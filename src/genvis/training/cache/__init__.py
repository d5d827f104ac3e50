"""Cache of the outputs of a frozen detector."""
