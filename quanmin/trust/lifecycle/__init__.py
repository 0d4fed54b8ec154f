"""What becomes of records in the course of their life, and what their person may ask meanwhile."""
