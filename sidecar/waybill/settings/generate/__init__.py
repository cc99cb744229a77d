"""What is written from the fields of the settings, so that it says what they say.

``python -m waybill.settings.generate`` writes ``config/waybill.yaml``, ``docs/settings.md`` and the
``config`` part of the chart's ``values.schema.json``, and from the words of reasons the table of
``docs/labels.md`` and a schema of ``openapi.json``; with ``--check`` it only compares.
"""
