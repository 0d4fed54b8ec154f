"""Who asks, what for, and what they may see: the only way to personal data from above."""
