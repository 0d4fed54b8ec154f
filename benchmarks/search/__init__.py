"""Searches at three sizes: the same shapes, asked of nodes with skewed records in them."""
