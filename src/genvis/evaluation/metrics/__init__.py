"""Average precision and tracking metrics."""
