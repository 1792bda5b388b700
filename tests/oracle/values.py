"""The types of the random schemas, with literals that meet their edges."""

from __future__ import annotations

from dataclasses import dataclass

_FEW = tuple(str(number) for number in range(4, 34))
_KEYS = tuple(f"k{number:02}" for number in range(24))
_TEXTS = ("", "a", "A", "a ", "ab", "ab ", "b", "a  ", "ä", "Ä", "1", "e\u0301", "é")
_SCALES = ("0", "1", "1.0", "1.00", "2", "3.0", "0.1", "0.10", "1.5", "-0.0")
_TIMES = ("2026-01-01", "2026-01-02", "1999-12-31", "infinity", "2024-02-29")
_HOURS = ("2026-01-01 00:00", "2026-01-01 01:00", "2026-01-01 00:00:00.4")


@dataclass(frozen=True)
class Type:
    """A type as SQL names it, its ``edges`` and ``more`` literals of it, and what it can do.

    A key may refer from a type to another one of its family that is at least as ``wide``; not from
    and to each of them.
    """

    name: str
    family: str
    edges: tuple[str, ...]
    more: tuple[str, ...] = ()
    wide: int = 0
    collatable: bool = False
    hashable: bool = True
    builtin: bool = True
    pattern: str = ""  # an operator class with another order

    @property
    def literals(self) -> tuple[str, ...]:
        return self.edges + self.more


def _texts(name: str, *more: str, pattern: str = "") -> Type:
    return Type(name, "text", (*_TEXTS, *more), _KEYS, collatable=True, pattern=pattern)


TYPES = (
    Type("int4", "number", ("0", "1", "2", "3", "-1", "70000"), _FEW, 1, pattern="oracle.sizes"),
    Type("int2", "number", ("0", "1", "2", "3", "-1", "32767"), _FEW, 1),
    Type("int8", "number", ("0", "1", "2", "3", "-1", "70000", "5000000000"), _FEW, 1),
    Type(
        "numeric",
        "number",
        (*_SCALES, "-1", "70000", "NaN", "Infinity"),
        _FEW,
        2,
    ),
    Type(
        "numeric(6,2)",
        "number",
        ("0", "1", "1.00", "2", "0.1", "1.5", "-1", "NaN", "3.005"),
        wide=2,
    ),
    Type("float4", "number", ("0", "-0", "1", "2", "0.1", "1.5", "NaN", "Infinity", "-1"), _FEW, 3),
    Type(
        "float8",
        "number",
        ("0", "-0", "1", "2", "0.1", "0.10000000149011612", "1.5", "NaN", "-1"),
        _FEW,
        3,
    ),
    Type("oid", "number", ("0", "1", "2", "3", "70000", "4294967295"), _FEW, 1),
    Type("regclass", "number", ("0", "1", "2", "3", "70000"), wide=1),
    _texts("text", "a long one", pattern="text_pattern_ops"),
    _texts("varchar", "a long one", pattern="varchar_pattern_ops"),
    _texts("varchar(3)", pattern="varchar_pattern_ops"),
    _texts("char(3)", pattern="bpchar_pattern_ops"),
    _texts("char(5)", pattern="bpchar_pattern_ops"),
    _texts("bpchar", "a long one", pattern="bpchar_pattern_ops"),
    _texts("name"),
    Type('"char"', "text", ("", "a", "A", "b", "1")),
    Type("uuid", "uuid", tuple(f"00000000-0000-0000-0000-0000000000{n:02x}" for n in range(24))),
    Type("date", "time", _TIMES),
    Type("timestamp", "time", (*_TIMES, *_HOURS)),
    Type("timestamp(0)", "time", (*_TIMES, *_HOURS)),
    Type("timestamptz", "time", (*_TIMES, *_HOURS, "2026-01-01 00:00+02")),
    Type("bool", "bool", ("false", "true")),
    Type("bytea", "bytea", ("\\x", "\\x00", "\\x0001", "\\xff", "\\x61")),
    Type("bit(4)", "bits", ("1010", "0000", "1111", "0101"), hashable=False),
    Type("bit(3)", "bits", ("101", "000", "111"), hashable=False),
    Type("varbit", "bits", ("", "1010", "0000", "101", "1", "000"), hashable=False),
    Type("varbit(6)", "bits", ("", "1010", "0000", "101", "1"), hashable=False),
    Type("oracle.mood", "enum", ("happy", "sad", "so so"), builtin=False),
    Type("oracle.weather", "enum", ("happy", "sad"), builtin=False),
    Type("inet", "net", ("10.0.0.0/8", "10.0.0.1", "::1", "10.0.0.1/24")),
    Type("cidr", "net", ("10.0.0.0/8", "10.0.0.1", "::1")),
    Type("interval", "span", ("00:00", "24:00", "1 day", "1 mon", "30 days", "12:30")),
    Type("time", "span", ("00:00", "24:00", "12:30")),
    Type("int4[]", "array", ("{}", "{1}", "{1,NULL}", "{1,2}", "{2}", "[0:0]={1}")),
    Type("int8[]", "array", ("{}", "{1}", "{1,NULL}", "{1,2}", "{2}")),
    Type("text[]", "array", ("{}", "{1}", '{"a "}', "{a}", "{NULL}"), collatable=True),
    Type("varchar[]", "array", ("{}", "{1}", '{"a "}', "{a}", "{NULL}"), collatable=True),
    Type("int4range", "range", ("empty", "[1,3)", "[1,2]", "(,)", "[5,9)")),
    Type("int8range", "range", ("empty", "[1,3)", "[1,2]", "(,)")),
    Type("numrange", "range", ("empty", "[1,3)", "[1.0,3.0)", "(,)")),
    Type("jsonb", "json", ("{}", "1", "1.0", '"a"', "null", "[1]", '{"a": 1}')),
    # a field that is NULL would make `IS NOT NULL` false for a value that is not NULL:
    # there ADD … FOREIGN KEY and the key's own trigger do not agree with each other
    Type("oracle.pair", "row", ("(1,a)", "(1,b)", "(2,a)"), builtin=False),
    Type("oracle.couple", "row", ("(1,a)", "(1,b)", "(2,a)"), builtin=False),
)
CITEXT = Type("public.citext", "text", _TEXTS, _KEYS, collatable=True, builtin=False)

_OF = {item.name: item for item in TYPES}
_DOMAINS = {
    "d_int": "int4",
    "d_big": "int8",
    "d_numeric": "numeric",
    "d_scaled": "numeric(6,2)",
    "d_text": "text",
    'd "C" %s': "text",
    "d_varchar": "varchar(3)",
    "d_char": "char(3)",
    "d_name": "name",
    "d_uuid": "uuid",
    "d_date": "date",
    "d_stamp": "timestamp",
    "d_bits": "bit(4)",
    "d_mood": "oracle.mood",
    "d_array": "int4[]",
    "d_range": "int4range",
    "d_pair": "oracle.pair",
}


_OF_C = ' COLLATE "C";'


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _domain(name: str, base: Type) -> Type:
    return Type(
        f"oracle.{_quoted(name)}",
        base.family,
        base.edges,
        base.more,
        base.wide,
        collatable=base.collatable,
        hashable=base.hashable,
        builtin=False,
        pattern=base.pattern,
    )


DOMAINS = (
    *(_domain(name, _OF[base]) for name, base in _DOMAINS.items()),
    _domain("over a domain", _OF["char(3)"]),
    _domain("over numbers", _OF["int4"]),
)

# 1 equals -1: a unique index of this class makes a key that compares so
_SIZES = (
    (
        "CREATE FUNCTION oracle.sizes(int4, int4) RETURNS int LANGUAGE sql IMMUTABLE STRICT"
        " AS 'SELECT pg_catalog.btint4cmp(pg_catalog.abs($1), pg_catalog.abs($2))';"
    ),
    *(
        f"CREATE FUNCTION oracle.size_{name}(int4, int4) RETURNS bool LANGUAGE sql IMMUTABLE STRICT"
        f" AS 'SELECT pg_catalog.abs($1) {sign} pg_catalog.abs($2)';"
        f"CREATE OPERATOR oracle.{sign}# (LEFTARG = int4, RIGHTARG = int4,"
        f" FUNCTION = oracle.size_{name});"
        for name, sign in (("lt", "<"), ("le", "<="), ("eq", "="), ("ge", ">="), ("gt", ">"))
    ),
    (
        "CREATE OPERATOR CLASS oracle.sizes FOR TYPE int4 USING btree AS"
        " OPERATOR 1 oracle.<#, OPERATOR 2 oracle.<=#, OPERATOR 3 oracle.=#,"
        " OPERATOR 4 oracle.>=#, OPERATOR 5 oracle.>#, FUNCTION 1 oracle.sizes(int4, int4);"
    ),
)

DEFINITIONS = "\n".join(
    (
        "CREATE SCHEMA oracle;",
        "CREATE TYPE oracle.mood AS ENUM ('happy', 'sad', 'so so');",
        "CREATE TYPE oracle.weather AS ENUM ('happy', 'sad');",
        "CREATE TYPE oracle.pair AS (a int, b text);",
        "CREATE TYPE oracle.couple AS (a int, b text);",
        *(
            f"CREATE DOMAIN oracle.{_quoted(name)} AS {base}" + (_OF_C if "C" in name else ";")
            for name, base in _DOMAINS.items()
        ),
        'CREATE DOMAIN oracle."over a domain" AS oracle.d_char;',
        'CREATE DOMAIN oracle."over numbers" AS oracle.d_int;',
        *_SIZES,
        "CREATE FOREIGN DATA WRAPPER oracle_nowhere;",
        "CREATE SERVER oracle_nowhere FOREIGN DATA WRAPPER oracle_nowhere;",
    )
)
"""What every random schema builds on; once in a database."""

NOT_DETERMINISTIC = (
    "CREATE COLLATION oracle.loose (provider = icu, locale = 'und-u-ks-level2',"
    " deterministic = false)"
)
"""Needs ICU; ``a`` equals ``A``."""
