"""The tracker of the paper: object encoder, object decoder, heads, memory."""
