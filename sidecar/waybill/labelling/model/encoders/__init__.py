"""The encoders that a bundle can name, one a file; `opening` chooses."""
