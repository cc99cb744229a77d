"""The services that can be asked, one a file."""
