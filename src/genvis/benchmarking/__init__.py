"""Speed and memory, part by part, as anyone can report them."""
