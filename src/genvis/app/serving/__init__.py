"""The server: who may ask, what is asked for, and the answers."""
