"""The page kit: how anything looks, reads and answers to a person."""
