"""Results: pure values, and the formats that they are written in."""
