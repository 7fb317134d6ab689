"""Tokens, words and spans: where they stand in a text, how one is made of the other, and how they are kept."""
