"""The settings, section by section: type, bounds, unit and meaning stand at each field."""
