"""Assignment of objects to queries, and losses."""
