"""Applications that exist in tests only: folders like those of the program."""
