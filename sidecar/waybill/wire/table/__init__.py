"""Tables of text (CSV and its relatives): found out, read, and written back with labels beside."""
