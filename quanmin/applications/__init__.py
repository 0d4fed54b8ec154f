"""What people do with the records: one folder each, none of which knows another."""
