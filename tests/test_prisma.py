"""schema.prisma: the grammar with its errors, the relations by Prisma's rules, the comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook import catalog, prisma
from runbook.discovery.proposal import Source, Tier
from runbook.errors import FileError, UsageError
from runbook.prisma import Kind, types
from runbook.schema import Action, TableName
from tests.conftest import ROOT
from tests.places import Place

FILE = Path("schema.prisma")

BLOG = """
// the whole of it /* not a comment's end
datasource db {
  provider     = "postgresql"
  url          = env("DATABASE_URL") // from outside
  schemas      = ["public", "auth"]
}

generator client {
  provider        = "prisma-client-js"
  previewFeatures = ["views", "multiSchema"]
}

/// Who writes.
model User {
  id      Int     @id @default(autoincrement())
  tenant  Int
  email   String  @unique @db.Citext
  role    Role    @default(AUTHOR)
  bossId  Int?    @map("boss_id")
  boss    User?   @relation("Reports", fields: [bossId], references: [id])
  reports User[]  @relation("Reports")
  posts   Post[]
  edited  Post[]  @relation("Edited")
  friends User[]  @relation(name: "Friends")
  friendOf User[] @relation(name: "Friends")

  @@unique([id, tenant], map: "user_id_tenant")
  @@map("users")
  @@schema("auth")
}

model Post {
  id       BigInt   @id
  title    String   @db.VarChar(200) /* a block comment,
                                       of two lines */
  tags     String[]
  authorId Int      @map("author_id")
  tenantId Int      @map("tenant_id")
  author   User     @relation(
    fields: [authorId, tenantId],
    references: [id, tenant],
    onDelete: Cascade,
    onUpdate: NoAction,
    map: "post_author",
  )
  editorId Int?
  editor   User?    @relation("Edited", fields: [editorId], references: [id],
                              onDelete: SetNull)
  written  DateTime @default(now())
  price    Decimal? @db.Decimal(10, 2)
  place    Unsupported("point")?
  topics   Topic[]

  @@index([authorId(sort: Desc), tenantId], type: BTree)
  @@schema("public")
}

model Topic {
  code  String @id @db.Char(3)
  posts Post[]
  @@schema("public")
}

view Popular {
  id    BigInt @unique
  topic Topic? @relation(fields: [code], references: [code])
  code  String?
  @@map("popular_posts")
  @@schema("public")
}

enum Role {
  AUTHOR @map("author")
  ADMIN
  @@map("user_role")
  @@schema("auth")
}
"""

DATABASE = """
CREATE SCHEMA {auth};
CREATE TYPE {auth}.user_role AS ENUM ('author', 'ADMIN');
CREATE TABLE {auth}.users (
    id int PRIMARY KEY, tenant int NOT NULL, email text NOT NULL UNIQUE,
    role {auth}.user_role NOT NULL DEFAULT 'author', boss_id int REFERENCES {auth}.users
        ON DELETE SET NULL ON UPDATE CASCADE, UNIQUE (id, tenant), left_over text);
CREATE TABLE "Post" (
    id bigint PRIMARY KEY, title varchar(100) NOT NULL, tags text[], author_id int NOT NULL,
    tenant_id int, "editorId" int, written timestamp(3) NOT NULL DEFAULT now(),
    price numeric(10, 2), place point,
    CONSTRAINT post_author FOREIGN KEY (tenant_id, author_id)
        REFERENCES {auth}.users (tenant, id) ON DELETE RESTRICT);
CREATE TABLE "Topic" (code character(3) PRIMARY KEY, up character(3),
    CONSTRAINT topic_up FOREIGN KEY (up) REFERENCES "Topic");
CREATE TABLE {auth}."_Friends" ("A" int NOT NULL REFERENCES {auth}.users
    ON DELETE CASCADE ON UPDATE CASCADE, "B" int NOT NULL);
CREATE VIEW popular_posts AS SELECT id, 'abc'::text AS code FROM "Post";
"""


def parsed(text: str) -> prisma.Declared:
    return prisma.parse(text, FILE)


def only(text: str) -> prisma.Relation:
    (relation,) = prisma.relations(parsed(text))
    return relation


def two(field: str, scalar: str = "bId Int", parent: str = "a A[]") -> str:
    """A model A that refers to a model B by ``field``."""
    return (
        f"model A {{\n  id Int @id\n  {scalar}\n  {field}\n}}\n"
        f"model B {{\n  id Int @id\n  {parent}\n}}\n"
    )


# --- relations -----------------------------------------------------------------------------------


def test_every_form_of_a_relation() -> None:
    found = {f"{r.name}.{r.columns}": r for r in prisma.relations(parsed(BLOG))}
    users, post = TableName("auth", "users"), TableName("public", "Post")
    said = {
        name: (str(r.child), r.columns, str(r.parent), r.references, r.on_delete, r.on_update)
        for name, r in found.items()
    }
    assert list(said.values()) == [
        (str(users), ("boss_id",), str(users), ("id",), Action.SET_NULL, Action.CASCADE),
        ("auth._Friends", ("A",), str(users), ("id",), Action.CASCADE, Action.CASCADE),
        ("auth._Friends", ("B",), str(users), ("id",), Action.CASCADE, Action.CASCADE),
        (
            str(post),
            ("author_id", "tenant_id"),
            str(users),
            ("id", "tenant"),
            Action.CASCADE,
            Action.NO_ACTION,
        ),
        (str(post), ("editorId",), str(users), ("id",), Action.SET_NULL, Action.CASCADE),
        ("public._PostToTopic", ("A",), str(post), ("id",), Action.CASCADE, Action.CASCADE),
        (
            "public._PostToTopic",
            ("B",),
            "public.Topic",
            ("code",),
            Action.CASCADE,
            Action.CASCADE,
        ),
    ]


@pytest.mark.parametrize(
    ("field", "scalar", "action"),
    [
        ("b B @relation(fields: [bId], references: [id])", "bId Int", Action.RESTRICT),
        ("b B? @relation(fields: [bId], references: [id])", "bId Int?", Action.SET_NULL),
        # a required column counts, whatever the relation says
        ("b B? @relation(fields: [bId], references: [id])", "bId Int", Action.RESTRICT),
        (
            "b B? @relation(fields: [bId, tId], references: [id, id])",
            "bId Int?\n  tId Int",
            Action.RESTRICT,
        ),
        (
            "b B @relation(fields: [bId], references: [id], onDelete: NoAction)",
            "bId Int",
            Action.NO_ACTION,
        ),
        (
            "b B @relation(fields: [bId], references: [id], onDelete: SetDefault)",
            "bId Int",
            Action.SET_DEFAULT,
        ),
    ],
)
def test_on_delete_is_as_said_or_by_prismas_default(
    field: str, scalar: str, action: Action
) -> None:
    relation = only(two(field, scalar))
    assert relation.on_delete is action
    assert relation.delete_said is ("onDelete" in field)
    assert (relation.on_update, relation.update_said) == (Action.CASCADE, False)
    assert relation.relationship.on_update is None


def test_a_relation_names_its_field_and_its_place() -> None:
    relation = only(two("b B @relation(fields: [bId], references: [id])"))
    assert str(relation.place) == "schema.prisma:4:3"
    assert relation.relationship.id == "public.A(bId) -> public.B(id)"
    assert relation.relationship.why == (
        "A.b in schema.prisma; on delete restrict by Prisma's default"
    )


def test_without_references_the_id_is_meant() -> None:
    assert only(two("b B @relation(fields: [bId])")).references == ("id",)


def test_a_list_with_its_other_side_single_is_no_table_of_pairs() -> None:
    text = two("b B @relation(fields: [bId], references: [id])")
    assert [r.child.table for r in prisma.relations(parsed(text))] == ["A"]


def test_a_table_of_pairs_has_the_name_of_the_relation() -> None:
    text = two('bs B[] @relation("Links")', "", 'as A[] @relation("Links")')
    assert {r.child.table for r in prisma.relations(parsed(text))} == {"_Links"}


def test_a_long_name_of_a_table_of_pairs_is_cut_as_postgresql_does() -> None:
    text = two(f'bs B[] @relation("{"x" * 80}")', "", f'as A[] @relation("{"x" * 80}")')
    assert {r.child.table for r in prisma.relations(parsed(text))} == {"_" + "x" * 62}


def test_a_relation_of_a_view_is_no_key() -> None:
    text = two("b B @relation(fields: [bId], references: [id])").replace("model A", "view A")
    assert prisma.relations(parsed(text)) == ()


def test_telecores_schema_declares_what_its_header_says() -> None:
    declared = prisma.read(ROOT / "runbook" / "telecore" / "schema.prisma")
    assert len(prisma.relations(declared)) == 46
    assert len(prisma.relationships(declared)) == 46


# --- names, types, modes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "type_"),
    [
        ("x String", "text"),
        ("x Int?", "integer"),
        ("x BigInt", "bigint"),
        ("x Float", "double precision"),
        ("x Decimal", "numeric(65,30)"),
        ("x Decimal @db.Decimal(8)", "numeric(8,0)"),
        ("x DateTime", "timestamp(3) without time zone"),
        ("x DateTime @db.Timestamptz(6)", "timestamp(6) with time zone"),
        ("x DateTime @db.Timetz", "time with time zone"),
        ("x Json", "jsonb"),
        ("x Json @db.Json", "json"),
        ("x Bytes", "bytea"),
        ("x Boolean[]", "boolean[]"),
        ("x String @db.Uuid", "uuid"),
        ("x String @db.Char", "character(1)"),
        ("x String @pg.VarChar(80)", "character varying(80)"),
        ('x Unsupported("tsvector")?', "tsvector"),
        ("x Mood", "mood"),
    ],
)
def test_a_type_is_postgresqls(line: str, type_: str) -> None:
    text = f'model A {{\n id Int @id\n {line}\n}}\nenum Mood {{\n sad\n @@map("mood")\n}}'
    assert parsed(text).models["A"].by_field["x"].type == type_


@pytest.mark.parametrize(
    ("type_", "bare"),
    [
        ("integer", "integer"),
        ("numeric(10,2)", "numeric(10,2)"),
        ('auth."Role"', "Role"),
        ('"my.schema"."Ro""le"[]', 'Ro"le[]'),
        ("public.citext", "citext"),
    ],
)
def test_a_type_without_its_schema(type_: str, bare: str) -> None:
    assert types.bare(type_) == bare


def test_the_schema_is_that_of_the_address_where_no_model_says() -> None:
    source = (
        'datasource db {\n provider = "postgres"\n url = "postgresql://h/d?schema=shop&x=1"\n}\n'
    )
    declared = parsed(source + "model A {\n id Int @id\n}")
    assert declared.models["A"].table == TableName("shop", "A")
    assert prisma.parse("model A {\n id Int @id\n}", FILE, "own").models["A"].table.schema == "own"


@pytest.mark.parametrize("key", ["relationMode", "referentialIntegrity"])
def test_under_the_mode_prisma_there_are_no_keys(key: str) -> None:
    source = f'datasource db {{\n provider = "postgresql"\n {key} = "prisma"\n}}\n'
    assert parsed(source).has_keys is False
    assert parsed(source.replace('"prisma"', '"foreignKeys"')).has_keys is True


def test_a_composite_type_is_no_column() -> None:
    text = "type Address {\n street String\n}\nmodel A {\n id Int @id\n home Address?\n}"
    assert [column.field for column in parsed(text).models["A"].columns] == ["id"]


def test_a_folder_of_files_is_one_schema(tmp_path: Path) -> None:
    text = two("b B @relation(fields: [bId], references: [id])")
    first, _, second = text.partition("model B")
    (tmp_path / "models").mkdir()
    (tmp_path / "a.prisma").write_text(first, encoding="utf-8")
    (tmp_path / "models" / "b.prisma").write_bytes(f"\ufeffmodel B{second}".encode())
    assert len(prisma.relations(prisma.read(tmp_path))) == 1


def test_the_same_name_in_two_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.prisma").write_text("model A {\r\n  id Int @id\r\n}\r\n")
    with pytest.raises(FileError) as error:
        prisma.read(tmp_path)
    assert error.value.message == (
        f"{tmp_path}/b.prisma:1:7: 'A' is already declared at {tmp_path}/a.prisma:1:7"
    )
    assert error.value.hint == "rename or remove one of the two"


def test_a_folder_without_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        prisma.read(tmp_path)
    assert error.value.message == f"{tmp_path}: no .prisma file in it"
    assert error.value.hint == "name schema.prisma, or the folder of its files"


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "modell A {}",
            "1:1: expected a block, got 'modell'",
            "a block begins with one of: datasource, generator, model, view, enum, type",
        ),
        (
            "model A {\n  id Int @id\n",
            "3:1: expected a name, got the end of the file",
            "close the model with }",
        ),
        ("model {", "1:7: expected a name, got '{'", "write model NAME {"),
        ("model A\n{", "1:8: expected '{', got the end of the line", "write model A {"),
        ('model A {\n  x Int @map("y)\n}', "2:14: the text has no end", 'close it with " on the'),
        ("/* never\n", "1:1: the comment has no end", "close it with */"),
        ("model A {\n  id Int ; \n}", "2:10: unexpected ';'", "remove it"),
        ("model A {\n  id\n}", "2:5: expected a name, got the end of the line", "write id TYPE"),
        ("model A {\n  id Int[\n}", "2:10: expected ']', got the end of", "write Int[]"),
        ("model A {\n  id Int @\n}", "2:11: expected a name, got the", "write the attribute's"),
        (
            "model A {\n  id Int @default(1 2)\n}",
            "2:21: expected ',', got '2'",
            "separate by commas, and close with )",
        ),
        (
            "model A {\n  id Int @default(,)\n}",
            "2:19: expected a value, got ','",
            "write a text, a number or a name",
        ),
        (
            "model A {\n  id Int @id x Int\n}",
            "2:14: expected the end of the line, got 'x'",
            "close the model with }, or begin a new line",
        ),
        (
            'datasource db {\n  provider "x"\n}',
            "2:12: expected '=', got 'x'",
            "write provider = value",
        ),
        (
            'datasource db {\n  provider = "mysql"\n}',
            "2:3: provider: expected 'postgresql', got 'mysql'",
            "give the schema of a PostgreSQL database",
        ),
        (
            'datasource db {\n  provider = "postgres"\n  relationMode = "none"\n}',
            "3:3: relationMode: expected 'foreignKeys' or 'prisma', got 'none'",
            "give the schema of a PostgreSQL database",
        ),
        (
            "model A {\n  x Foo\n}",
            "2:3: A.x: no type 'Foo' is declared",
            "declare the model or the enum, or correct the name",
        ),
        (
            "model A {\n  x Int\n  x Int\n}",
            "3:3: A.x is declared twice",
            "rename or remove one of the two",
        ),
        (
            "model A {\n  x String @db.Text32\n}",
            "2:13: no type 'db.Text32' of PostgreSQL",
            f"one of: {', '.join(sorted({*types._NATIVE, *types._TIMES}))}",
        ),
        (
            two("b B @relation(fields: [cId], references: [id])"),
            "4:8: A.b: A has no field 'cId' that is a column",
            "correct the name in @relation",
        ),
        (
            two("b B @relation(fields: [bId], references: [ref])"),
            "4:8: A.b: B has no field 'ref' that is a column",
            "correct the name in @relation",
        ),
        (
            two("b B @relation(fields: [bId], references: [id, id])"),
            "4:8: A.b: 1 fields refer to 2 references, expected the same number",
            "write @relation(fields: [a, b], references: [x, y])",
        ),
        (
            two("b B @relation(fields: [bId], references: [id], onDelete: Explode)"),
            "4:8: A.b: onDelete: no action 'Explode'",
            "one of: Cascade, NoAction, Restrict, SetDefault, SetNull",
        ),
        (
            "model A {\n a Int\n b B[]\n @@id([a, b])\n}\nmodel B {\n id Int @id\n as A[]\n}",
            "3:2: A.b: A has no id of a single field, expected one",
            "name the table of pairs as a model of its own",
        ),
    ],
)
def test_an_error_names_line_and_column(text: str, message: str, hint: str) -> None:
    with pytest.raises(FileError) as error:
        prisma.relations(parsed(text))
    assert error.value.message.startswith(f"schema.prisma:{message}")
    assert error.value.hint.startswith(hint)


def test_text_is_what_it_means() -> None:
    text = 'model A {\n  id Int @id @map("a\\"b\\\\c\\u00e9")\n}'
    assert parsed(text).models["A"].columns[0].column == 'a"b\\cé'
    with pytest.raises(FileError) as error:
        parsed('model A {\n  id Int @map("a\\q")\n}')
    assert error.value.message == 'schema.prisma:2:15: not a text: "a\\q"'
    assert error.value.hint == r"write a backslash as \\ and a quote as " + '\\"'
    assert (error.value.line, error.value.column) == (2, 15)


# --- the comparison ------------------------------------------------------------------------------


@pytest.fixture
def declared(place: Place) -> prisma.Declared:
    """The blog, in the schemas of this test, whose database differs in all ways."""
    auth = f"{place.schema}_auth"
    place.run(DATABASE.format(auth=auth))
    text = BLOG.replace('schema("auth")', f'schema("{auth}")')
    return parsed(text.replace('schema("public")', f'schema("{place.schema}")'))


def test_what_differs_in_both_directions(place: Place, declared: prisma.Declared) -> None:
    auth = f"{place.schema}_auth"
    with place.reading() as session:
        schema = catalog.read(session, [place.schema, auth])
    found = [
        (one.kind, one.subject.replace(place.schema, "s"), one.prisma, one.database)
        for one in prisma.differences(declared, schema)
    ]
    assert found == [
        (
            Kind.NOT_IN_DATABASE,
            "s_auth._Friends(B) -> s_auth.users(id)",
            "User.friends",
            "no foreign key",
        ),
        (
            Kind.NOT_IN_DATABASE,
            "s.Post(editorId) -> s_auth.users(id)",
            "Post.editor",
            "no foreign key",
        ),
        (
            Kind.NOT_IN_DATABASE,
            "s._PostToTopic(A) -> s.Post(id)",
            "Post.topics",
            f"no table {place.schema}._PostToTopic",
        ),
        (
            Kind.NOT_IN_DATABASE,
            "s._PostToTopic(B) -> s.Topic(code)",
            "Post.topics",
            f"no table {place.schema}._PostToTopic",
        ),
        (Kind.NOT_IN_PRISMA, "s.Topic(up) -> s.Topic(code)", "no relation", "topic_up"),
        (Kind.NOT_IN_PRISMA, "s_auth.users.left_over", "no field of User", "text"),
        (Kind.NOT_IN_PRISMA, "s.Topic.up", "no field of Topic", "character(3)"),
        (
            Kind.ACTION,
            "s.Post(author_id, tenant_id) -> s_auth.users(id, tenant)",
            "on delete cascade",
            "on delete restrict (post_author)",
        ),
        (Kind.TYPE, "s_auth.users.email", "citext", "text"),
        (Kind.TYPE, "s.Post.title", "character varying(200)", "character varying(100)"),
        (Kind.NULLABILITY, "s.Post.tenant_id", "NOT NULL", "NULL allowed"),
    ]


def test_a_model_without_its_table_names_the_nearest(place: Place) -> None:
    place.run("CREATE TABLE orders (id int PRIMARY KEY)")
    text = f'model Order {{\n id Int @id\n @@map("order")\n @@schema("{place.schema}")\n}}'
    (found,) = prisma.differences(parsed(text), place.read())
    assert (found.kind, found.database, str(found.place)) == (
        Kind.NOT_IN_DATABASE,
        f"no table, the nearest is {place.schema}.orders",
        "schema.prisma:1:7",
    )


def test_under_the_mode_prisma_a_missing_key_is_told_with_it(place: Place) -> None:
    place.run('CREATE TABLE "B" (id int PRIMARY KEY); CREATE TABLE "A" (id int PRIMARY KEY)')
    text = two("b B @relation(fields: [bId], references: [id])")
    source = 'datasource db {\n provider = "postgresql"\n relationMode = "prisma"\n}\n'
    found = prisma.differences(prisma.parse(source + text, FILE, place.schema), place.read())
    assert [one.database for one in found] == [
        f"no column 'bId' in {place.schema}.A (relationMode \"prisma\" makes none)",
        "no column",
    ]


def test_a_key_that_is_not_enforced_is_none(place: Place) -> None:
    place.run(
        'CREATE TABLE "B" (id int PRIMARY KEY);'
        'CREATE TABLE "A" (id int PRIMARY KEY, "bId" int NOT NULL REFERENCES "B"'
        " ON DELETE RESTRICT ON UPDATE CASCADE)"
    )
    text = two("b B @relation(fields: [bId], references: [id])")
    declared = prisma.parse(text, FILE, place.schema)
    assert prisma.differences(declared, place.read()) == ()
    place.run('ALTER TABLE "A" ALTER CONSTRAINT "A_bId_fkey" NOT ENFORCED')
    (found,) = prisma.differences(declared, place.read())
    assert (found.kind, found.database) == (Kind.NOT_IN_DATABASE, "no foreign key")


def test_proposals_are_the_relations_that_the_database_can_hold(
    place: Place, declared: prisma.Declared
) -> None:
    with place.reading() as session:
        schema = catalog.read(session, [place.schema, f"{place.schema}_auth"])
    found = prisma.proposals(declared, schema)
    assert [item.columns for item in found] == [
        ("boss_id",),
        ("A",),
        ("B",),
        ("author_id", "tenant_id"),
        ("editorId",),
    ]
    editor = found[-1]
    line = next(n for n, text in enumerate(BLOG.split("\n"), 1) if "  editor  " in text)
    assert (editor.tier, editor.confidence) == (Tier.ACCEPTED, 1.0)
    assert [(e.source, e.words) for e in editor.evidence] == [
        (Source.PRISMA, f"Post.editor is a relation at schema.prisma:{line}")
    ]
    assert (editor.on_delete, editor.on_delete_reason) == (
        Action.SET_NULL,
        "on delete set null: as it says",
    )
