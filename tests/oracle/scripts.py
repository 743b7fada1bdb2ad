"""Scripts for the oracle of traces: what a client sends, with places for a refusal.

A script is a list of steps in the short form below; `NO` stands for a text that
pgwarden refuses and that is a plain syntax error in the script for the bare server.

    Q text          Query                 S   Sync
    P name|text     Parse                 H   Flush
    B portal|stmt   Bind                  c   CopyDone
    E portal|rows   Execute               f   CopyFail
    DS name, DP p   Describe              d text   CopyData
    CS name, CP p   Close                 F   FunctionCall (always refused)

`...` waits until the answers so far are in. Tables: items(a int primary key, b int
references items deferrable initially deferred).
"""

from __future__ import annotations

NO = "NO"

SIMPLE = {
    "one refusal": ["Q NO"],
    "reads around it": ["Q SELECT 1", "Q NO", "Q SELECT 2"],
    "pipelined queries": ["Q SELECT 1", "Q NO", "Q NO", "Q SELECT 1/0", "Q SELECT 2"],
    "several statements": ["Q SELECT 1; SELECT 2", "Q SELECT 1; NO", "Q SELECT 3"],
    "refused first of several": ["Q NO; SELECT 1"],
    "empty": ["Q ", "Q ;", "Q -- nothing", "Q NO"],
    "in a transaction": ["Q BEGIN", "Q SELECT 1", "Q NO", "Q SELECT 2", "Q ROLLBACK"],
    "commit after it": ["Q BEGIN", "Q NO", "Q COMMIT", "Q SELECT 1"],
    "twice in status E": ["Q BEGIN", "Q NO", "Q NO", "Q ROLLBACK", "Q NO"],
    "status E by an error": ["Q BEGIN", "Q SELECT 1/0", "Q NO", "Q ROLLBACK"],
    "savepoint": [
        *("Q BEGIN", "Q SAVEPOINT s", "Q NO", "Q ROLLBACK TO s", "Q SELECT 1"),
        "Q COMMIT",
    ],
    "its transaction is lost": [
        *("Q BEGIN", "Q INSERT INTO items VALUES (1)", "Q NO", "Q COMMIT"),
        "Q SELECT count(*) FROM items",
    ],
    "nothing ran of a mixed text": [
        *("Q INSERT INTO items VALUES (1); NO", "Q SELECT count(*) FROM items"),
    ],
    "function call": ["F", "Q SELECT 1"],
    "function call in a transaction": ["Q BEGIN", "F", "Q SELECT 1", "Q ROLLBACK"],
    "function call in status E": ["Q BEGIN", "Q SELECT 1/0", "F", "Q ROLLBACK"],
    "deferred constraint": [
        *("Q INSERT INTO items VALUES (1, 9)", "Q BEGIN"),
        *("Q INSERT INTO items VALUES (1, 9)", "Q COMMIT", "Q NO"),
    ],
}

EXTENDED = {
    "unnamed": ["P |NO", "B |", "E |0", "S"],
    "named": ["P s|NO", "B |s", "E |0", "S", "B |s", "S"],
    "described": ["P s|NO", "DS s", "S"],
    "after a read": ["P |SELECT 1", "B |", "E |0", "P |NO", "B |", "E |0", "S"],
    "before a read": ["P |NO", "P |SELECT 1", "B |", "E |0", "S"],
    "read after the sync": ["P |NO", "S", "P |SELECT 1", "B |", "DP ", "E |0", "S"],
    "unnamed statement is dropped": ["P |SELECT 1", "S", "P |NO", "S", "B |", "S"],
    "unnamed survives a named refusal": [
        *("P |SELECT 1", "S", "P s|NO", "S", "B |", "E |0", "S"),
    ],
    "named survives an unnamed refusal": [
        *("P s|SELECT 1", "S", "P |NO", "S", "B |s", "E |0", "S"),
    ],
    "unnamed is dropped by a query": ["P |SELECT 1", "S", "Q NO", "B |", "S"],
    "unknown statement": ["B |none", "E |0", "S", "P |SELECT 1", "B |", "E |0", "S"],
    "unnamed survives an unknown bind": [
        *("P |SELECT 1", "S", "B |none", "S", "B |", "E |0", "S"),
    ],
    "unknown portal": ["E p|0", "S", "P |SELECT 1", "B |", "E none|0", "E |0", "S"],
    "the first dropped, the second shown": [
        *("P |SELECT nope", "P |NO", "S", "P |NO", "S"),
    ],
    "refused, then fails": ["P |NO", "P |SELECT nope", "S", "P |SELECT nope", "S"],
    "query in the skip": ["P |NO", "Q SELECT 1", "Q NO", "S", "Q SELECT 2"],
    "function call in the skip": ["P |SELECT nope", "F", "S", "F"],
    "function call in a pipeline": ["P |SELECT 1", "B |", "F", "E |0", "S"],
    "query in a pipeline": ["P |SELECT 1", "B |", "E |0", "Q NO", "E |0", "S"],
    "insert before it is rolled back": [
        *("P |INSERT INTO items VALUES (1)", "B |", "E |0", "P |NO", "B |", "E |0"),
        *("S", "Q SELECT count(*) FROM items"),
    ],
    "insert of the segment before stays": [
        *("P |INSERT INTO items VALUES (1)", "B |", "E |0", "S", "P |NO", "S"),
        "Q SELECT count(*) FROM items",
    ],
    "in a transaction": [
        *("Q BEGIN", "P |SELECT 1", "B |", "E |0", "P |NO", "S", "Q SELECT 1"),
        *("P |SELECT 1", "S", "P |NO", "S", "Q ROLLBACK"),
    ],
    "status E": ["Q BEGIN", "Q SELECT 1/0", "P |NO", "S", "P s|NO", "S", "B |s", "S"],
    "begin in the pipeline": [
        *("P |BEGIN", "B |", "E |0", "P |NO", "S", "Q SELECT 1", "Q ROLLBACK"),
    ],
    "flush only": ["P |SELECT 1", "H", "...", "B |", "E |0", "H", "...", "P |NO", "H"],
    "flush only, then more": [
        *("P |NO", "H", "...", "P |SELECT 1", "B |", "E |0", "H", "Q SELECT 1", "S"),
    ],
    "seen before the sync": ["P |NO", "H", "...", "P |NO", "B |", "S", "Q SELECT 1"],
    "many syncs": ["S", "P |NO", "S", "S", "S", "P |SELECT 1", "S"],
    "existing name": [
        *("P s|SELECT 1", "P s|SELECT 2", "S", "B |s", "E |0", "S", "P s|NO", "S"),
    ],
    "close and again": [
        *("P s|SELECT 1", "CS s", "P s|SELECT 2", "B |s", "E |0", "S", "CS s", "S"),
    ],
    "close in the skip": [
        "P s|SELECT 1",
        "S",
        "P |NO",
        "CS s",
        "S",
        "B |s",
        "E |0",
        "S",
    ],
    "close of nothing": ["CS none", "CP none", "CS ", "CP ", "S"],
    "hundreds": ["P |SELECT 1", *["B |", "E |0"] * 300, "P |NO", *["B |"] * 50, "S"],
    "empty text": ["P |", "B |", "DP ", "E |0", "S", "P |NO", "S"],
    "concurrent sync and refusal": ["P |NO", "S", "P |NO", "S", "P |NO", "S", "Q NO"],
    "deferred constraint at the sync": [
        *("P |INSERT INTO items VALUES (1, 9)", "B |", "E |0", "S", "P |NO", "S"),
    ],
}

NAMES = {
    "prepare and bind": [
        *("Q PREPARE s AS SELECT 1", "B |s", "E |0", "S", "Q EXECUTE s", "CS s", "S"),
        *("B |s", "S"),
    ],
    "parse and execute": [
        "P s|SELECT 1",
        "S",
        "Q EXECUTE s",
        "Q DEALLOCATE s",
        "B |s",
        "S",
    ],
    "prepare of an existing name": [
        *("P s|SELECT 1", "S", "Q PREPARE s AS SELECT 2", "B |s", "E |0", "S"),
    ],
    "deallocate all": [
        *("P s|SELECT 1", "P |SELECT 2", "S", "P x|DEALLOCATE ALL", "B |x", "E |0"),
        *("S", "B |", "E |0", "S", "B |s", "S"),
    ],
    "discard all": [
        "P s|SELECT 1",
        "S",
        "Q DISCARD ALL",
        "B |s",
        "S",
        "P s|SELECT 2",
        "S",
    ],
    "prepare amid a failing text": [
        *("Q PREPARE s AS SELECT 1; SELECT 1/0", "Q EXECUTE s"),
    ],
    "deallocate and prepare amid a failing text": [
        *("Q PREPARE s AS SELECT 1", "Q DEALLOCATE s; SELECT 1/0", "B |s", "S"),
        *("Q PREPARE s AS SELECT 2", "Q EXECUTE s"),
    ],
    "prepare survives a rollback": [
        *("Q BEGIN", "Q PREPARE s AS SELECT 1", "Q ROLLBACK", "Q EXECUTE s"),
    ],
    "cursor": [
        *("Q BEGIN", "Q DECLARE c CURSOR FOR SELECT generate_series(1,5)"),
        *("E c|2", "S", "Q FETCH 2 FROM c", "E c|9", "S", "Q NO", "Q FETCH c"),
        *("Q ROLLBACK", "E c|1", "S"),
    ],
    "held cursor": [
        "Q BEGIN",
        "Q DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1,5)",
        *("Q COMMIT", "Q FETCH 1 FROM c", "Q NO", "Q FETCH 1 FROM c", "E c|1", "S"),
        *("Q CLOSE c", "Q FETCH 1 FROM c"),
    ],
    "portal and cursor of one name": [
        *("Q BEGIN", "P |SELECT 1", "B c|", "S", "Q DECLARE c CURSOR FOR SELECT 1"),
        "Q ROLLBACK",
    ],
}

PORTALS = {
    "suspended": [
        *("P |SELECT generate_series(1,5)", "B p|", "E p|2", "E p|2", "E p|2"),
        *("E p|2", "S", "E p|1", "S"),
    ],
    "suspended over syncs": [
        *("Q BEGIN", "P |SELECT generate_series(1,5)", "B p|", "E p|2", "S"),
        *("E p|2", "S", "P |NO", "S", "E p|2", "S", "Q ROLLBACK"),
    ],
    "refused between the fetches": [
        *("P |SELECT generate_series(1,5)", "B p|", "E p|2", "P s|NO", "E p|2", "S"),
    ],
    "two at once": [
        *("P a|SELECT generate_series(1,3)", "B p|a", "B q|a", "E p|1", "E q|1"),
        *("E p|1", "CP p", "E q|0", "E p|0", "S"),
    ],
    "unnamed portal replaced": ["P |SELECT 1", "B |", "B |", "E |0", "E |0", "S"],
    "named portal exists": ["P |SELECT 1", "B p|", "B p|", "E p|0", "S"],
    "insert twice": ["P |INSERT INTO items VALUES (1)", "B p|", "E p|0", "E p|0", "S"],
    "gone with its transaction": ["P |SELECT 1", "B p|", "E p|0", "S", "E p|0", "S"],
    "savepoint": [
        *("Q BEGIN", "P s|SELECT 1", "B p|s", "S", "Q SAVEPOINT x", "B q|s", "P |NO"),
        *("S", "Q ROLLBACK TO x", "E p|0", "S", "E q|0", "S", "Q ROLLBACK"),
    ],
}

COPIES = {
    "out": [
        "Q COPY items TO STDOUT",
        "Q NO",
        "Q COPY (SELECT 1) TO STDOUT (FORMAT csv)",
    ],
    "out, extended": ["P |COPY items TO STDOUT", "B |", "E |0", "P |NO", "S"],
    "in": [
        "Q COPY items FROM STDIN",
        "...",
        "d 1\t\\N\n",
        "c",
        "Q NO",
        "Q TABLE items",
    ],
    "in, csv": [
        "Q COPY items FROM STDIN (FORMAT csv)",
        "d 1,\n2,1\n",
        "c",
        "Q TABLE items",
    ],
    "in, nothing awaited": [
        "Q COPY items FROM STDIN",
        "d 1\t\\N\n",
        "c",
        "Q NO",
        "Q NO",
    ],
    "in, failed by the client": [
        "Q COPY items FROM STDIN",
        "...",
        "d 1\t\\N\n",
        "f",
        "Q NO",
    ],
    "in, bad data": [
        "Q COPY items FROM STDIN",
        "...",
        "d x\n",
        "d 2\t\\N\n",
        "c",
        "Q NO",
    ],
    "in, with sync and flush amid": [
        *("Q COPY items FROM STDIN", "...", "H", "S", "d 1\t\\N\n", "S", "c", "Q NO"),
        "Q SELECT 1",
    ],
    "in, two in one text": [
        *("Q COPY items FROM STDIN; COPY items FROM STDIN; SELECT 1", "..."),
        *("d 1\t\\N\n", "c", "...", "d 2\t1\n", "S", "c", "Q SELECT 2"),
    ],
    "in, as libpq": [
        *("P |COPY items FROM STDIN", "B |", "DP ", "E |0", "S", "...", "d 1\t\\N\n"),
        *("c", "S", "P |NO", "S", "Q TABLE items"),
    ],
    "in, all at once": [
        *("P |COPY items FROM STDIN", "B |", "E |0", "S", "d 1\t\\N\n", "c", "S"),
        *("P |NO", "S", "P |SELECT 1", "B |", "E |0", "S"),
    ],
    "in, bad data, as libpq": [
        *("P |COPY items FROM STDIN", "B |", "E |0", "S", "...", "d x\n", "c", "S"),
        *("...", "Q SELECT 1", "P |NO", "S"),
    ],
    "in, failed, as libpq": [
        *("P |COPY items FROM STDIN", "B |", "E |0", "S", "...", "d 1\n", "f", "S"),
        *("P |NO", "S", "Q SELECT 1"),
    ],
    "in, no such table": [
        *("P |COPY nowhere FROM STDIN", "B |", "E |0", "S", "d 1\n", "c", "S", "Q NO"),
    ],
    "in, by execute of a parsed copy": [
        *("P k|COPY items FROM STDIN", "S", "Q EXECUTE k", "...", "d 1\t\\N\n", "c"),
        *("S", "Q NO", "Q SELECT 1"),
    ],
    "in, pipelined with a refusal before": [
        *("P |NO", "P |COPY items FROM STDIN", "B |", "E |0", "S", "d 1\n", "c", "S"),
    ],
    "in, never begun, its end behind other messages": [
        *("Q SELECT 1/0; COPY items FROM STDIN", "P |SELECT 1", "c", "S", "P |NO", "S"),
    ],
    "outside of any": ["d x", "c", "f", "Q SELECT 1", "Q NO", "d x", "c", "Q SELECT 2"],
    "in, refused query amid": ["Q COPY items FROM STDIN", "...", "d 1\t\\N\n", "Q NO"],
    "in, parse amid": [
        *("P |COPY items FROM STDIN", "B |", "E |0", "S", "...", "d 1\t\\N\n", "P |NO"),
    ],
    "in, query amid": ["Q COPY items FROM STDIN", "...", "Q SELECT 1"],
    "in, function call amid": ["Q COPY items FROM STDIN", "...", "F"],
}

SCRIPTS = {
    f"{group}: {name}": script
    for group, scripts in (
        ("simple", SIMPLE),
        ("extended", EXTENDED),
        ("names", NAMES),
        ("portals", PORTALS),
        ("copy", COPIES),
    )
    for name, script in scripts.items()
}
