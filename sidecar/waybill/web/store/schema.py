"""The tables of the workbench's store, by version.

A store is brought to the newest version when it is opened; one that a newer Waybill has written is
refused, for its tables may mean something else.
"""

from __future__ import annotations

import sqlite3

#: One script for each version; what stands in a released one is never changed.
_SCRIPTS = (
    """
    CREATE TABLE nodes (
        name TEXT PRIMARY KEY,
        address TEXT NOT NULL,
        answered_at REAL,
        tried_at REAL,
        fault TEXT NOT NULL DEFAULT '',
        answer_head TEXT NOT NULL DEFAULT '',
        edition TEXT NOT NULL DEFAULT '{}',
        patterns INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE patterns (
        id TEXT PRIMARY KEY,
        mask TEXT NOT NULL,
        label TEXT NOT NULL,
        kind TEXT NOT NULL,
        tier TEXT NOT NULL,
        rule TEXT,
        confidence REAL,
        reason TEXT,
        guess_label TEXT,
        guess_score REAL,
        is_mixed INTEGER NOT NULL,
        is_sampled INTEGER NOT NULL,
        first_seen REAL NOT NULL,
        last_seen REAL NOT NULL,
        hour_rate REAL NOT NULL DEFAULT 0,
        day_count INTEGER NOT NULL DEFAULT 0,
        body TEXT NOT NULL
    );
    CREATE INDEX patterns_by_rate ON patterns (kind, hour_rate DESC, id);
    CREATE INDEX patterns_by_label ON patterns (label, hour_rate DESC, id);
    CREATE TABLE sources (
        source TEXT NOT NULL,
        pattern TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (source, pattern)
    ) WITHOUT ROWID;
    CREATE INDEX sources_by_pattern ON sources (pattern);
    CREATE TABLE node_counts (
        node TEXT NOT NULL,
        pattern TEXT NOT NULL,
        count INTEGER NOT NULL,
        since REAL NOT NULL,
        PRIMARY KEY (node, pattern)
    ) WITHOUT ROWID;
    CREATE TABLE hours (
        pattern TEXT NOT NULL,
        hour INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (pattern, hour)
    ) WITHOUT ROWID;
    CREATE INDEX hours_by_hour ON hours (hour);
    CREATE TABLE label_hours (
        label TEXT NOT NULL,
        kind TEXT NOT NULL,
        hour INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (label, kind, hour)
    ) WITHOUT ROWID;
    CREATE TABLE corrections (
        id TEXT PRIMARY KEY,
        pattern TEXT NOT NULL,
        at TEXT NOT NULL,
        number INTEGER NOT NULL,
        body TEXT NOT NULL
    );
    CREATE INDEX corrections_by_pattern ON corrections (pattern, number);
    CREATE TABLE changes (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        author TEXT NOT NULL,
        what TEXT NOT NULL,
        file TEXT NOT NULL,
        before TEXT,
        after TEXT,
        note TEXT NOT NULL DEFAULT '',
        way TEXT NOT NULL,
        undoes INTEGER
    );
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        at REAL NOT NULL,
        author TEXT NOT NULL,
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        body TEXT NOT NULL
    );
    CREATE TABLE answers (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        author TEXT NOT NULL,
        pattern TEXT NOT NULL,
        correction TEXT NOT NULL,
        at REAL NOT NULL
    );
    CREATE TABLE keys (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    """,
    """
    ALTER TABLE patterns ADD COLUMN added_at REAL NOT NULL DEFAULT 0;
    ALTER TABLE patterns ADD COLUMN changed_at REAL NOT NULL DEFAULT 0;
    ALTER TABLE patterns ADD COLUMN alike TEXT NOT NULL DEFAULT '';
    CREATE INDEX patterns_by_alike ON patterns (alike);
    ALTER TABLE answers ADD COLUMN batch TEXT NOT NULL DEFAULT '';
    CREATE TABLE label_changes (
        pattern TEXT NOT NULL,
        at REAL NOT NULL,
        node TEXT NOT NULL,
        label TEXT NOT NULL,
        kind TEXT NOT NULL,
        tier TEXT NOT NULL,
        rule TEXT
    );
    CREATE INDEX label_changes_by_pattern ON label_changes (pattern, at);
    CREATE TABLE drafts (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        author TEXT NOT NULL,
        at REAL NOT NULL,
        file TEXT NOT NULL,
        text TEXT NOT NULL,
        base TEXT NOT NULL,
        pattern TEXT NOT NULL DEFAULT '',
        viewed TEXT NOT NULL DEFAULT '{}',
        tried TEXT NOT NULL DEFAULT ''
    );
    """,
    """
    ALTER TABLE patterns ADD COLUMN before_count INTEGER NOT NULL DEFAULT 0;
    """,
    """
    CREATE TABLE rule_files (name TEXT PRIMARY KEY, text TEXT NOT NULL);
    ALTER TABLE corrections ADD COLUMN change INTEGER;
    CREATE INDEX corrections_by_change ON corrections (change, number);
    ALTER TABLE changes ADD COLUMN version TEXT NOT NULL DEFAULT '';
    ALTER TABLE changes ADD COLUMN state TEXT NOT NULL DEFAULT 'written';
    ALTER TABLE changes ADD COLUMN fault TEXT NOT NULL DEFAULT '';
    ALTER TABLE changes ADD COLUMN complete_at REAL;
    """,
    """
    CREATE INDEX patterns_narrow ON patterns (alike, kind, hour_rate, id, label, tier, rule,
        confidence, reason, is_mixed, is_sampled, day_count, first_seen, last_seen, added_at,
        changed_at, before_count);
    CREATE INDEX patterns_of_sources ON patterns (id, day_count, before_count, label, kind,
        first_seen);
    DROP INDEX sources_by_pattern;
    CREATE INDEX sources_by_pattern ON sources (pattern, count);
    """,
    # One index holds what every list asks for; each further one costs at each answer of a node.
    """
    ALTER TABLE patterns ADD COLUMN folded TEXT NOT NULL DEFAULT '';
    UPDATE patterns SET folded = fold(mask);
    CREATE INDEX patterns_by_text ON patterns (folded);
    DROP INDEX patterns_by_rate;
    DROP INDEX patterns_by_label;
    DROP INDEX patterns_by_alike;
    DROP INDEX patterns_of_sources;
    CREATE TABLE standing (pattern TEXT PRIMARY KEY) WITHOUT ROWID;
    INSERT INTO standing SELECT DISTINCT pattern FROM corrections
        WHERE json_extract(body, '$.withdraws') IS NULL AND id NOT IN
        (SELECT json_extract(body, '$.withdraws') FROM corrections
         WHERE json_extract(body, '$.withdraws') IS NOT NULL);
    CREATE INDEX corrections_by_number ON corrections (number);
    ALTER TABLE node_counts ADD COLUMN mark INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE source_sums (
        source TEXT NOT NULL,
        label TEXT NOT NULL,
        is_open INTEGER NOT NULL,
        records REAL NOT NULL,
        before REAL NOT NULL,
        new INTEGER NOT NULL,
        patterns INTEGER NOT NULL,
        PRIMARY KEY (source, label, is_open)
    ) WITHOUT ROWID;
    """,
    # Labels are counted without sorting all patterns; it changes only when a label does.
    """
    CREATE INDEX patterns_by_label ON patterns (label, kind);
    """,
)
VERSION = len(_SCRIPTS)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to the newest version, each step whole or not at all.

    Raises:
        ValueError: the store is of a newer version.
    """
    connection.create_function("fold", 1, str.casefold, deterministic=True)
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        raise ValueError(
            f"its tables are of version {found}, this Waybill knows {VERSION}: "
            "use the Waybill that wrote it, or another file"
        )
    for version in range(found, VERSION):
        connection.executescript(
            f"BEGIN IMMEDIATE; {_SCRIPTS[version]} PRAGMA user_version = {version + 1}; COMMIT;"
        )
