"""Pages and forms of a node with a million persons, as those who use it ask for them."""
