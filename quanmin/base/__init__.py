"""What has no health in it: problems, text, crypto, clocks and the database driver."""
