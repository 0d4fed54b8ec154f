"""Work that has an order: forms that are filled in, plans that fall due, steps, and notices."""
