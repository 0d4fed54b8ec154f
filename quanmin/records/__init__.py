"""The store: versions, transactions, search and the feed of changes."""
