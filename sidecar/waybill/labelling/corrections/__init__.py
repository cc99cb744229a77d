"""The tier of corrections: what people said about a message, asked before rules and model.

`files` reads them, `table` answers for a masked message, `store` appends one, `guard` holds rules
and model against them.
"""
