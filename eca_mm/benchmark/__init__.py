"""How fast networks are: timing, memory, counts, and reports of them."""
