"""An invented province of synthetic people and their histories, sent through the real doors."""
