"""Other people's programs: what genvis offers to them, and what it sends them."""
